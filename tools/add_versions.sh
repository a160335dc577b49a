#!/usr/bin/env bash
# Unpacks the site of each release (its file site.zip) into a folder of the published site, and lists them in versions.html,
# to which the foot of each page then leads.
# Usage: tools/add_versions.sh SITE      (needs GitHub's program gh; a release without a site is left out)
set -eu
site=$1
packed=$(mktemp -d)
sed -i 's|Code: MIT\.</p>|Code: MIT. <a href="../versions.html">Other versions of this book</a>.</p>|' "$site"/book/*.html
list=""
for tag in $(gh release list --limit 100 --json tagName --jq '.[].tagName'); do
    if gh release download "$tag" --pattern site.zip --output "$packed/$tag.zip"; then
        mkdir -p "$site/$tag"
        unzip -q "$packed/$tag.zip" -d "$site/$tag"
        list="$list<li><a href=\"$tag/\">$tag</a></li>"
    fi
done
rm -r "$packed"
cat >"$site/versions.html" <<END
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Versions</title></head>
<body><h1>Versions of this book</h1><ul><li><a href="./">newest</a></li>$list</ul></body></html>
END
