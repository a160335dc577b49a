// Written by tools/make_explorables.py.
(function (root) { root.Explorables = root.Explorables || {}; root.Explorables.data = root.Explorables.data || {};
root.Explorables.data.watch = {"running":true};
}(typeof window === "undefined" ? globalThis : window));
