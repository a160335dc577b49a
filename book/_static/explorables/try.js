// Try your own text: heads on its words, one for each loss, and the rules that turn their scores into labels.
(function (root) {
  "use strict";
  var Explorables = root.Explorables, words = Explorables.words, widgets = Explorables.widgets;
  var element = widgets.element, fixed = widgets.fixed;
  var here = root.document && root.document.currentScript ? root.document.currentScript.src : "";
  var OWN = "own", ROW = 22, NAME = 20; // a name of more characters is cut off in the chart

  // The threshold of each label.
  function thresholdsOf(data, heads, loss, rule) {
    var value = heads.thresholds[loss][rule];
    return data.labels.map(function (_, label) { return Array.isArray(value) ? value[label] : value; });
  }

  // Scores, thresholds and the labels that a text gets, the highest score first.
  function judge(data, heads, loss, rule, features) {
    var scores = words.scoresOf(heads, loss, features), thresholds = thresholdsOf(data, heads, loss, rule);
    var order = scores.map(function (_, label) { return label; }).sort(function (a, b) { return scores[b] - scores[a]; });
    return {
      scores: scores, thresholds: thresholds, order: order,
      named: order.filter(function (label) { return scores[label] >= thresholds[label]; })
    };
  }

  // Labels to show: those that the text gets, then those with the highest scores.
  function shownLabels(data, judged) {
    var others = judged.order.filter(function (label) { return judged.named.indexOf(label) < 0; });
    return judged.named.concat(others).slice(0, data.shown);
  }

  function namesOf(data, labels) {
    return labels.map(function (label) { return data.labels[label]; }).join(", ") || "none";
  }

  function sameLabels(judged) {
    var sets = judged.map(function (one) { return one.named.slice().sort().join(" "); });
    return sets.every(function (one) { return one === sets[0]; });
  }

  // Whether the goals are reached, and what to say. now: of the chosen loss; judged and atHalf: of all losses, under the chosen
  // rule and under the first one.
  function answers(data, state, features, now, judged, atHalf) {
    var rare = data.labels[data.rare], found = now.named.indexOf(data.rare) >= 0, short = features.nWords <= data.fewWords;
    var height = "Its score is " + fixed(now.scores[data.rare], 3) + ", its threshold " + fixed(now.thresholds[data.rare], 3) + ".";
    var length = short ? "" : " The text has " + features.nWords + " words.", half = state.rule === data.rules[0][0];
    var silent = judged.every(function (one) { return !one.named.length; });
    var agree = !silent && sameLabels(judged), differ = !sameLabels(atHalf);
    return [
      {
        reached: found && short && half && !state.masked,
        says: state.masked ? "With the first heads." : (found && short && half ? "Reached. " : "") + height + length + (half ? "" : " The threshold is another than one half.")
      },
      {
        reached: agree && differ,
        says: silent ? "No loss names a genre." : !differ ? "At one half, too, all losses name the same: " + namesOf(data, atHalf[0].named) + ". Take another text." :
          agree ? "Reached: all losses name " + namesOf(data, judged[0].named) + ". The scores still lie at other heights." :
            "The losses name different genres."
      },
      {
        reached: found && short && state.masked,
        says: state.masked ? (found && short ? "Reached. " : "") + height + length : "Choose the heads that never saw a genre's name."
      }
    ];
  }

  function build(node, data) {
    var leads = Explorables.data.leads.films, plain = words.readHeads(Explorables.data.plainHeads), masked = null;
    var state = { loss: data.losses[0][0], rule: data.rules[0][0], masked: false };
    var features, now, judged, shown;

    function heads() { return state.masked ? masked : plain; }

    // ---- controls ----
    var example = widgets.choice({
      label: "a text to begin with", value: "0",
      choices: leads.map(function (lead, i) { return [String(i), lead.title + " (" + lead.year + ")"]; }).concat([[OWN, "a text of your own"]]),
      onchange: function (value) {
        text.set(value === OWN ? "" : leads[Number(value)].text);
        show();
      }
    });
    var text = widgets.field({
      label: "the text: change it, or type your own", value: leads[0].text, rows: 6, inputmode: "text",
      onchange: function () {
        example.set(OWN);
        show();
      }
    });
    var loss = widgets.choice({
      label: "the heads were trained with", choices: data.losses, value: state.loss,
      onchange: function (value) { state.loss = value; show(); }
    });
    var rule = widgets.choice({
      label: "the text gets a genre if its score passes", choices: data.rules, value: state.rule,
      onchange: function (value) { state.rule = value; show(); }
    });
    var texts = widgets.choice({
      label: "they learned from", choices: [["plain", "the texts as they are"], ["masked", "texts without the names of genres"]], value: "plain",
      onchange: function (value) {
        if (value === "plain" || masked) {
          state.masked = value === "masked";
          show();
        } else {
          load();
        }
      }
    });
    // The second heads are fetched when they are asked for: a script can be, where the page was opened from disk.
    function load() {
      var script = element("script", { src: here.replace(/try\.js.*$/, "data/maskedHeads.js") });
      said.textContent = "The heads are being loaded.";
      script.onload = function () {
        masked = words.readHeads(Explorables.data.maskedHeads);
        state.masked = texts.get() === "masked";
        show();
      };
      script.onerror = function () {
        texts.set("plain");
        show();
        said.textContent = "These heads could not be loaded; the others are still here.";
      };
      root.document.head.appendChild(script);
    }

    // ---- scores ----
    var credit = element("p", { class: "explorable-hint" });
    var said = element("p", { class: "explorable-summary", role: "status" });
    var scores = widgets.chart({
      height: data.shown * ROW + 66, left: 158,
      label: function () {
        return "A bar per genre: its score, and its threshold. " + shown.map(function (label) {
          return data.labels[label] + " " + fixed(now.scores[label], 2) + ", " + fixed(now.thresholds[label], 2);
        }).join("; ") + ".";
      },
      x: { domain: [0, 1], ticks: [0, 0.25, 0.5, 0.75, 1], title: "score", format: function (v) { return v === 0 || v === 1 ? String(v) : String(v).slice(1); } },
      y: { domain: [data.shown, 0], ticks: [], title: "genre" },
      draw: function (plot) {
        shown.forEach(function (label, row) {
          var named = now.named.indexOf(label) >= 0, top = plot.y(row), name = data.labels[label], at = plot.x(Math.min(now.thresholds[label], 1));
          plot.text(0, top + 16, named ? "\u2713" : "", "third");
          plot.text(18, top + 16, name.length > NAME ? name.slice(0, NAME - 1) + "\u2026" : name, named ? "third" : "");
          plot.box(plot.left, top + 4, plot.x(now.scores[label]) - plot.left, ROW - 7, named ? "hit" : "none");
          plot.rule(at, top + 1, at, top + ROW - 1, "now");
        });
      }
    });

    // ---- the words ----
    function table(titles, body) {
      return element("table", { class: "explorable-table" }, [
        element("thead", {}, element("tr", {}, titles.map(function (title) { return element("th", { scope: "col" }, title); }))), body
      ]);
    }
    var spoken = element("tbody", {}), others = element("tbody", {});
    function wordsFor(label) {
      var loudest = words.spoke(heads(), state.loss, features, label).slice(0, data.nSpoken);
      return loudest.map(function (one) { return one[0] + "\u00a0" + (one[1] > 0 ? "+" : "") + fixed(one[1], 2); }).join(", ") || "no word of this text";
    }
    var goals = widgets.goals(data.goals);

    function show() {
      var own = example.get() === OWN, lead = own ? null : leads[Number(example.get())];
      features = words.featuresOf(heads(), text.get());
      function all(rule) {
        return data.losses.map(function (one) { return judge(data, heads(), one[0], rule, features); });
      }
      judged = all(state.rule);
      now = judged[data.losses.map(function (one) { return one[0]; }).indexOf(state.loss)];
      shown = shownLabels(data, now);

      widgets.empty(credit);
      (own ? ["Nothing that you type leaves your machine."] : ["The lead of ", element("a", { href: lead.url }, lead.article), ", by the authors of the Wikipedia article, ",
        element("a", { href: Explorables.data.leads.licence.url }, Explorables.data.leads.licence.name), ". The heads did not learn from it."]).forEach(function (part) {
        credit.appendChild(typeof part === "string" ? root.document.createTextNode(part) : part);
      });
      said.textContent = "Genres: " + namesOf(data, now.named) + ". The heads know " + features.nKnown + " of the " + features.nWords + " words.";
      scores.draw();
      widgets.empty(spoken);
      shown.slice(0, data.explained).forEach(function (label) {
        spoken.appendChild(element("tr", { class: now.named.indexOf(label) >= 0 ? "explorable-shown" : "" }, [
          element("th", { scope: "row" }, [data.labels[label], element("span", { class: "explorable-hint explorable-says" },
            "score " + fixed(now.scores[label], 3) + ", threshold " + fixed(now.thresholds[label], 3))]),
          element("td", {}, wordsFor(label))
        ]));
      });
      widgets.empty(others);
      judged.forEach(function (one, i) {
        others.appendChild(element("tr", {}, [
          element("th", { scope: "row" }, data.losses[i][1] + (one === now ? " (shown)" : "")),
          element("td", {}, fixed(one.scores[one.order[0]], 2)), element("td", {}, namesOf(data, one.named))
        ]));
      });
      goals.update(answers(data, state, features, now, judged, all(data.rules[0][0])));
    }

    [
      element("div", { class: "explorable-controls" }, [example.node, text.node]), credit,
      element("div", { class: "explorable-controls two" }, [loss.node, texts.node]),
      element("div", { class: "explorable-controls" }, rule.node), said, scores.node,
      table(["genre", "the words that spoke, by what they add to the logit"], spoken),
      table(["trained with", "highest score", "genres under this rule"], others), goals.node
    ].forEach(function (part) { node.appendChild(part); });
    show();
  }

  Explorables.try = { judge: judge, shownLabels: shownLabels, sameLabels: sameLabels, answers: answers };
  Explorables.mount("try", build);
}(typeof window === "undefined" ? globalThis : window));
