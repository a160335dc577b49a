// One film, its scores, your thresholds: ten films to choose from, the scores that three heads give their genres, and the rules
// that turn scores into genres. The metrics are those of all validation films of the page.
(function (root) {
  "use strict";
  var Explorables = root.Explorables, losses = Explorables.losses, widgets = Explorables.widgets;
  var element = widgets.element, fixed = widgets.fixed;
  var ROW = 22, SIDEWAYS = 8, MARKS = { hit: "\u2713", wrong: "\u2717", missed: "\u25cb", none: "" };
  var OWN = "own"; // the rule of the slider

  // Turn base64 of logits, int16 in little-endian order, into scores: film by film, one per label.
  function readScores(data, loss) {
    var bytes = root.atob(data.logits[loss]), scores = [], i, code, film;
    for (i = 0; i < bytes.length; i += 2) {
      code = bytes.charCodeAt(i) + 256 * bytes.charCodeAt(i + 1);
      film = Math.floor(i / 2 / data.labels.length);
      scores[film] = scores[film] || [];
      scores[film].push(losses.sigmoid((code > 32767 ? code - 65536 : code) * data.step));
    }
    return scores;
  }

  // The threshold of each label. common: where the slider stands.
  function thresholdsOf(data, loss, rule, common) {
    var value = rule === OWN ? common : data.thresholds[loss][rule];
    return data.labels.map(function (_, label) { return Array.isArray(value) ? value[label] : value; });
  }

  function ratio(a, b) { return b ? a / b : 0; }

  // Metrics of the decisions score >= threshold over all films, and how often each label is named, has been right and occurs.
  function evaluate(data, scores, thresholds) {
    var counts = data.labels.map(function () { return { named: 0, right: 0, actual: 0 }; });
    scores.forEach(function (row, film) {
      row.forEach(function (score, label) {
        var has = data.genres[film].indexOf(label) >= 0, named = score >= thresholds[label];
        counts[label].named += named ? 1 : 0;
        counts[label].right += named && has ? 1 : 0;
        counts[label].actual += has ? 1 : 0;
      });
    });
    function sum(key) { return counts.reduce(function (total, one) { return total + one[key]; }, 0); }
    function f1(one) { return ratio(2 * one.right, one.named + one.actual); }
    return {
      labels: counts,
      micro: f1({ right: sum("right"), named: sum("named"), actual: sum("actual") }),
      macro: counts.reduce(function (total, one) { return total + f1(one); }, 0) / counts.length,
      silent: counts.filter(function (one) { return !one.named; }).length
    };
  }

  // What the decisions on one film are: "hit", "wrong", "missed" or "none" per label.
  function outcomes(data, scores, thresholds, film) {
    return data.labels.map(function (_, label) {
      var has = data.genres[film].indexOf(label) >= 0, named = scores[film][label] >= thresholds[label];
      return named ? (has ? "hit" : "wrong") : has ? "missed" : "none";
    });
  }

  // Whether the goals are reached, and what to say. results: per loss, in the order of data.losses.
  function answers(data, state, scores, thresholds, results) {
    var now = results[state.at], rare = now.labels[data.rare], name = data.labels[data.rare], goal = data.goals;
    var right = data.titles.filter(function (_, film) {
      return scores[film][data.rare] >= thresholds[data.rare] && data.genres[film].indexOf(data.rare) >= 0;
    });
    var highest = Math.max.apply(null, scores.map(function (row) { return row[data.rare]; }));
    var micros = results.map(function (one) { return one.micro; });
    var least = Math.min.apply(null, micros), spread = Math.max.apply(null, micros) - least;
    var apart = spread >= goal.apart, together = spread <= goal.together && least >= goal.micro;
    return [
      {
        reached: rare.named > 0,
        says: rare.named ? "Reached: " + name + " is named for " + rare.named + " of " + data.titles.length + " films, rightly for " + right.length +
          (right.length ? " (" + right.slice(0, 3).join("; ") + (right.length > 3 ? "; and more" : "") + ")" : "") + ". Micro F1 is " + fixed(now.micro, 2) + "."
          : rare.actual + " films have it. Its highest score is " + fixed(highest, 3) + ", its threshold " + fixed(thresholds[data.rare], 3) + "."
      },
      {
        reached: state.rule === OWN && apart,
        says: "They lie " + fixed(spread, 3) + " apart." + (apart ? " Reached: one threshold means something else for each loss." : "")
      },
      {
        reached: together,
        says: "They lie " + fixed(spread, 3) + " apart, and the lowest is " + fixed(least, 3) +
          (together ? ". Reached: the rule has decided, whatever the loss did to the height of the scores." : ".")
      }
    ];
  }

  function build(node, data) {
    var leads = Explorables.data.leads, all = data.losses.map(function (loss) { return readScores(data, loss[0]); });
    var state = { lead: 0, at: 0, rule: OWN, common: data.common.value };
    var scores, thresholds, found, results;

    // ---- controls ----
    var film = widgets.choice({
      label: "film", value: "0", choices: leads.films.map(function (lead, i) { return [String(i), lead.title + " (" + lead.year + ")"]; }),
      onchange: function (value) { state.lead = Number(value); show(); }
    });
    var loss = widgets.choice({
      label: "the model was trained with", value: data.losses[0][0], choices: data.losses,
      onchange: function (value) {
        state.at = data.losses.map(function (one) { return one[0]; }).indexOf(value);
        show();
      }
    });
    var rule = widgets.choice({
      label: "a film gets a genre if its score passes", value: OWN, choices: [[OWN, "one threshold: where you put it"]].concat(data.rules),
      onchange: function (value) { state.rule = value; show(); }
    });
    var common = widgets.slider({
      label: "threshold of all genres", min: data.common.min, max: data.common.max, step: data.common.step, value: data.common.value,
      format: function (value) { return !thresholds || isCommon() ? fixed(thresholds && state.rule !== OWN ? thresholds[0] : value, 2) : "one per genre"; },
      onchange: put
    });
    // A threshold that is moved by hand is the reader's own.
    function put(value) {
      state.common = Math.min(Math.max(Math.round(value / data.common.step) * data.common.step, data.common.min), data.common.max);
      state.rule = OWN;
      rule.set(OWN);
      show();
    }

    // ---- the film and its genres ----
    var text = element("blockquote", { class: "explorable-lead" }), credit = element("p", { class: "explorable-hint" });
    var drawn = null;
    function shownFilm() { return leads.films[state.lead].film; }
    var genres = widgets.chart({
      height: data.labels.length * ROW + 66, left: 158,
      label: function () {
        return "A bar per genre, from the most frequent to the rarest: the score of " + data.titles[shownFilm()] + ", and the threshold. The table of all scores has the same numbers.";
      },
      x: { domain: [0, 1], ticks: [0, 0.25, 0.5, 0.75, 1], title: "score", format: function (v) { return v === 0 || v === 1 ? String(v) : String(v).slice(1); } },
      y: { domain: [data.labels.length, 0], ticks: [], title: "genre" },
      draw: function (plot) {
        drawn = plot;
        data.labels.forEach(function (name, label) {
          var kind = found[label], top = plot.y(label), at = plot.x(thresholds[label]);
          var style = { hit: "third", wrong: "second", missed: "strong", none: "" }[kind];
          plot.text(0, top + 16, MARKS[kind], style);
          plot.text(18, top + 16, name, style);
          plot.box(plot.left, top + 4, plot.x(scores[shownFilm()][label]) - plot.left, ROW - 7, kind);
          plot.rule(at, top + (isCommon() ? 0 : 2), at, top + ROW - (isCommon() ? 0 : 2), "now");
        });
      }
    });
    function isCommon() { return !Array.isArray(state.rule === OWN ? 0 : data.thresholds[data.losses[state.at][0]][state.rule]); }
    // The line can be dragged, too. A finger that scrolls does not move it: only one that has moved sideways does.
    var touched = null; // where a finger came down, until it has moved sideways
    function drag(event) {
      var box = genres.node.getBoundingClientRect();
      put((event.clientX - box.left - drawn.left) / (drawn.right - drawn.left));
    }
    genres.node.classList.add("explorable-drag");
    genres.node.addEventListener("pointerdown", function (event) {
      genres.node.setPointerCapture(event.pointerId);
      touched = event.pointerType === "mouse" ? null : { x: event.clientX, y: event.clientY };
      if (!touched) {
        drag(event);
      }
    });
    genres.node.addEventListener("pointermove", function (event) {
      var across, along;
      if (!genres.node.hasPointerCapture(event.pointerId)) {
        return;
      }
      if (touched) {
        across = Math.abs(event.clientX - touched.x);
        along = Math.abs(event.clientY - touched.y);
        touched = across > SIDEWAYS && across > along ? null : touched;
      }
      if (!touched) {
        drag(event);
      }
    });

    // ---- what the rule does to all films ----
    var named = element("ul", { class: "explorable-outcomes" }), body = element("tbody", {});
    var said = element("p", { class: "explorable-summary", role: "status" });
    var table = element("table", { class: "explorable-table" }, [
      element("thead", {}, element("tr", {}, ["trained with", "micro F1", "macro F1", "never named"].map(function (title) { return element("th", { scope: "col" }, title); }))), body
    ]);
    function scoresOf(label) {
      return widgets.distribution({
        name: data.labels[label], title: data.labels[label] + ", " + data.counts[label] + " training films",
        scores: function () {
          var split = { positives: [], negatives: [] };
          scores.forEach(function (row, i) { split[data.genres[i].indexOf(label) >= 0 ? "positives" : "negatives"].push(row[label]); });
          split.threshold = thresholds[label];
          split.words = results[state.at].labels[label].named + " films pass the threshold of " + fixed(split.threshold, 2) + ", " +
            results[state.at].labels[label].right + " of them with the genre; " + split.positives.length + " films have it.";
          return split;
        }
      });
    }
    var every = element("tbody", {});
    var allScores = element("details", { class: "explorable-more" }, [
      element("summary", {}, "All scores of this film as a table"),
      element("table", { class: "explorable-table" }, [
        element("thead", {}, element("tr", {}, ["genre", "score", "threshold", ""].map(function (title) { return title ? element("th", { scope: "col" }, title) : element("td", {}); }))),
        every
      ])
    ]);
    var frequent = scoresOf(data.frequent), rare = scoresOf(data.rare);
    var goals = widgets.goals(data.goals.tasks);

    function show() {
      var lead = leads.films[state.lead], now;
      results = data.losses.map(function (one, i) { return evaluate(data, all[i], thresholdsOf(data, one[0], state.rule, state.common)); });
      scores = all[state.at];
      thresholds = thresholdsOf(data, data.losses[state.at][0], state.rule, state.common);
      found = outcomes(data, scores, thresholds, shownFilm());
      now = results[state.at];
      common.set(isCommon() ? thresholds[0] : state.common); // the slider stands where the common threshold is

      text.textContent = lead.text;
      widgets.empty(credit);
      ["The lead of ", element("a", { href: lead.url }, lead.article), ", by the authors of the Wikipedia article, ",
        element("a", { href: leads.licence.url }, leads.licence.name), "."].forEach(function (part) {
        credit.appendChild(typeof part === "string" ? document.createTextNode(part) : part);
      });
      [genres, frequent, rare].forEach(function (chart) { chart.draw(); });
      widgets.empty(named);
      [["hit", "found"], ["wrong", "wrong"], ["missed", "missed"]].forEach(function (kind) {
        var names = data.labels.filter(function (_, label) { return found[label] === kind[0]; });
        named.appendChild(element("li", { class: kind[0] }, [
          element("span", { class: "explorable-mark", "aria-hidden": "true" }, MARKS[kind[0]]), kind[1] + ": " + (names.join(", ") || "none")
        ]));
      });
      widgets.empty(every);
      data.labels.forEach(function (name, label) {
        every.appendChild(element("tr", {}, [
          element("th", { scope: "row" }, name), element("td", {}, fixed(scores[shownFilm()][label], 3)), element("td", {}, fixed(thresholds[label], 3)),
          element("td", {}, { hit: "found", wrong: "wrong", missed: "missed", none: "" }[found[label]])
        ]));
      });
      widgets.empty(body);
      results.forEach(function (one, i) {
        var shown = i === state.at;
        body.appendChild(element("tr", { class: shown ? "explorable-shown" : "" }, [
          element("th", { scope: "row" }, data.losses[i][1] + (shown ? " (shown)" : "")),
          element("td", {}, fixed(one.micro, 3)), element("td", {}, fixed(one.macro, 3)), element("td", {}, one.silent + " of " + data.labels.length)
        ]));
      });
      said.textContent = "Over " + data.titles.length + " validation films: micro F1 " + fixed(now.micro, 3) + ", macro F1 " + fixed(now.macro, 3) + ", " +
        now.silent + " of " + data.labels.length + " genres never named.";
      goals.update(answers(data, state, scores, thresholds, results));
    }

    [
      element("div", { class: "explorable-controls" }, film.node), text, credit,
      element("div", { class: "explorable-controls two" }, [loss.node, rule.node]),
      element("div", { class: "explorable-controls" }, common.node), said,
      element("div", { class: "explorable-controls two" }, [genres.node, element("div", {}, [named, table, goals.node])]), allScores,
      element("div", { class: "explorable-controls two" }, [frequent.node, rare.node])
    ].forEach(function (part) { node.appendChild(part); });
    show();
  }

  Explorables.film = { readScores: readScores, thresholdsOf: thresholdsOf, evaluate: evaluate, outcomes: outcomes, answers: answers };
  Explorables.mount("film", build);
}(typeof window === "undefined" ? globalThis : window));
