// Train it in the page: a linear head on 2,000 films, in the reader's browser. The reader chooses the loss, the rule for gamma
// and the start of the bias, and watches scores and recall move.
(function (root) {
  "use strict";
  var Explorables = root.Explorables, training = Explorables.training, losses = Explorables.losses, widgets = Explorables.widgets;
  var element = widgets.element, fixed = widgets.fixed;
  var LINES = ["first", "second", "third"];

  // Train for setting.epochs and return the head. after(head, epoch) is called after each, and with 0 before the first.
  function run(data, films, setting, after) {
    var head = new training.Head(films, setting, data, data.effectiveBeta), epoch;
    after(head, 0);
    for (epoch = 1; epoch <= setting.epochs; epoch += 1) {
      head.epoch();
      after(head, epoch);
    }
    return head;
  }

  // The validation scores of the films with a label and of those without it.
  function scoresOf(films, logits, label) {
    var found = { positives: [], negatives: [] };
    logits[label].forEach(function (z, film) {
      found[films.y[(films.nTrain + film) * films.nLabels + label] ? "positives" : "negatives"].push(losses.sigmoid(z));
    });
    return found;
  }

  function meanScore(logits) {
    return logits.reduce(function (sum, z) { return sum + losses.sigmoid(z); }, 0) / logits.length;
  }

  // The first epoch at which a label's mean score had done half of its way from the start to where it is now;
  // null where it has not moved. A score moves by at most a quarter of what its logit does.
  function halfway(history, label, moved) {
    var means = history.map(function (logits) { return meanScore(logits[label]); }), whole = means[means.length - 1] - means[0];
    return Math.abs(whole) > moved / 4 ? means.findIndex(function (mean) { return (mean - means[0]) / whole >= 0.5; }) : null;
  }

  function build(node, data) {
    var films = training.readFilms(data), nValidation = films.n - films.nTrain;
    var head = null, logits = null, history = [], running = 0;
    var setting = {}, preset = data.presets[0];
    var groups = ["head", "medium", "tail"];

    // ---- controls ----
    function changed() { preset = null; sync(); reset(); }
    function chooser(name, label, choices) {
      return widgets.choice({ label: label, choices: choices, value: "", onchange: function (value) { setting[name] = value; changed(); } });
    }
    function ranged(name, label, range, decimals) {
      return widgets.slider({
        label: label, min: range.min, max: range.max, step: range.step, value: range.min,
        format: function (value) { return fixed(value, decimals); },
        onchange: function (value) {
          setting[name] = value;
          if (name === "lowest") { setting.highest = Math.max(setting.highest, value); } // the bounds never cross
          if (name === "highest") { setting.lowest = Math.min(setting.lowest, value); }
          changed();
        }
      });
    }
    var controls = {
      loss: chooser("loss", "loss", data.losses),
      gamma: ranged("gamma", "gamma; of adaptive focal loss, the base gamma", data.gamma, 1),
      reading: chooser("reading", "gamma of a label with n films", data.readings),
      alpha: chooser("alpha", "alpha of a label", data.alphas),
      bounded: widgets.tick({ label: "keep gamma within bounds", value: true, onchange: function (value) { setting.bounded = value; changed(); } }),
      lowest: ranged("lowest", "lowest gamma", data.lowest, 1),
      highest: ranged("highest", "highest gamma", data.highest, 1),
      start: chooser("start", "bias starts", data.starts),
      epochs: ranged("epochs", "epochs", data.epochs, 0),
      rule: widgets.choice({
        label: "a film gets the label if its score passes", choices: data.rules, value: data.rules[0][0],
        onchange: function () { replay(); show(true); }
      })
    };
    function sync() {
      Object.keys(setting).forEach(function (name) { if (controls[name]) { controls[name].set(setting[name]); } });
      controls.gamma.disable(setting.loss === "bce");
      ["reading", "alpha", "bounded"].forEach(function (name) { controls[name].disable(setting.loss !== "afl"); });
      ["lowest", "highest"].forEach(function (name) { controls[name].disable(setting.loss !== "afl" || !setting.bounded); });
      buttons.forEach(function (one, i) { one.setAttribute("aria-pressed", String(preset === data.presets[i])); });
      story.textContent = preset ? preset.story : "Your own setting.";
    }
    function take(chosen) {
      preset = chosen;
      Object.keys(chosen.setting).forEach(function (name) { setting[name] = chosen.setting[name]; });
      sync();
      reset();
    }
    var buttons = data.presets.map(function (one) {
      return widgets.button(one.title, function () { take(one); train(); });
    });
    var story = element("p", {});
    var start = widgets.button("Train", function () { 
      if (running) {
        stop();
        show(true);
      } else {
        train();
      }
    }, "main");

    // ---- training ----
    function complete() {
      return {
        loss: setting.loss, gamma: setting.gamma, reading: setting.reading, alpha: setting.alpha, start: setting.start,
        bounds: setting.bounded ? [setting.lowest, setting.highest] : null
      };
    }
    function record() {
      logits = head.validate();
      history.push(logits);
    }
    var summaries = [], decided = []; // of each epoch; of each label now
    function replay() { // a change of the rule judges the epochs anew, without training
      summaries = history.map(function (one) { return training.summarize(head, one, controls.rule.get(), data.moved); });
    }
    function reset() {
      stop();
      head = new training.Head(films, complete(), data, data.effectiveBeta);
      history = [];
      record();
      replay();
      show(true);
    }
    function stop() {
      root.clearTimeout(running);
      running = 0;
      start.textContent = "Train";
    }
    function train() {
      reset();
      start.textContent = "Stop";
      said.textContent = "Training \u2026";
      var began = Date.now();
      function once() {
        head.epoch();
        record();
        summaries.push(training.summarize(head, logits, controls.rule.get(), data.moved));
        if (head.epochs >= setting.epochs) {
          stop();
          node.setAttribute("data-seconds", ((Date.now() - began) / 1000).toFixed(2));
          show(true);
        } else {
          show(false);
          running = root.setTimeout(once, 0); // the page draws and hears clicks in between
        }
      }
      running = root.setTimeout(once, 0);
    }

    // ---- charts ----
    function scores(label) {
      var name = data.labels[label];
      return widgets.distribution({
        name: name, title: name + ", " + data.counts[label] + " training films",
        scores: function () {
          var found = scoresOf(films, logits, label);
          return {
            positives: found.positives, negatives: found.negatives, threshold: decided[label].threshold,
            words: "the mean is " + fixed(meanScore(logits[label]), 2) + "."
          };
        }
      });
    }
    var frequent = scores(data.frequent), rare = scores(data.rare);
    var recall = widgets.chart({
      height: 270, left: 44,
      label: function () {
        var last = summaries[summaries.length - 1].recall;
        return "Recall by epoch. Now: " + groups.map(function (group) { return group + " " + fixed(last[group], 2); }).join(", ") + ".";
      },
      x: { domain: [0, data.epochs.max], ticks: data.epochs.ticks, title: "epoch", format: String },
      y: { domain: [0, 1], ticks: [0, 0.25, 0.5, 0.75, 1], title: "recall, mean over a third of the labels", format: function (v) { return fixed(v, 2); } },
      draw: function (plot) {
        var ends = groups.map(function (group, i) {
          var points = summaries.map(function (one, epoch) { return [epoch, one.recall[group]]; });
          plot.line(points, LINES[i]);
          return { group: group, kind: LINES[i], epoch: points.length - 1, value: points[points.length - 1][1] };
        });
        // Names at the ends of the lines, from the lowest up, at least a line of text apart.
        var highest = Infinity, shift;
        ends.sort(function (a, b) { return a.value - b.value; }).forEach(function (end) {
          highest = end.y = Math.min(plot.y(end.value) - 7, highest - 16);
        });
        shift = Math.max(plot.top + 12 - highest, 0); // none above the upper edge
        ends.forEach(function (end) {
          var right = plot.x(end.epoch) > plot.right - 110;
          plot.text(plot.x(end.epoch) + (right ? -4 : 6), end.y + shift, end.group + " " + fixed(end.value, 2), end.kind, right ? "end" : "start");
        });
      }
    });

    // ---- what the charts say in words ----
    var table = element("tbody", {}), said = element("p", { class: "explorable-summary", role: "status" });
    var goals = widgets.goals(data.goals.map(function (goal) { return goal.task; }));
    function show(settled) {
      var last = summaries[summaries.length - 1], rate = data.counts[data.frequent] / films.nTrain, name = data.labels[data.frequent];
      decided = training.decisions(films, logits, controls.rule.get());
      [frequent, rare, recall].forEach(function (chart) { chart.draw(); });
      widgets.empty(table);
      [
        ["epoch", head.epochs + " of " + setting.epochs],
        ["labels with a score that moved", last.moved + " of " + films.nLabels],
        ["mean score half-way to where it is: " + name + "; " + data.labels[data.rare],
          [data.frequent, data.rare].map(function (label) {
            var epoch = halfway(history, label, data.moved);
            return epoch === null ? "not moved" : "epoch " + epoch;
          }).join("; ")],
        ["labels never predicted", last.silent + " of " + films.nLabels],
        ["mean score of " + name + "; its share of the training films", fixed(meanScore(logits[data.frequent]), 2) + "; " + fixed(rate, 2)],
        ["micro recall; micro precision", fixed(last.microRecall, 2) + "; " + fixed(last.microPrecision, 2)]
      ].forEach(function (row) { table.appendChild(element("tr", {}, [element("th", { scope: "row" }, row[0]), element("td", {}, row[1])])); });
      if (settled) {
        said.textContent = head.epochs ? "After " + head.epochs + " epochs: recall of head, medium and tail " +
          groups.map(function (group) { return fixed(last.recall[group], 2); }).join(", ") + "." : "Not trained yet.";
        goals.update(answers(data, complete(), head.epochs, last, controls.rule.get()));
      }
    }

    var pair = function (names, kind) {
      return element("div", { class: "explorable-controls " + kind }, names.map(function (name) { return controls[name].node; }));
    };
    [
      element("div", { class: "explorable-buttons", role: "group", "aria-label": "Settings to try" }, buttons), story,
      pair(["loss", "start"], "two"), pair(["gamma"], ""),
      element("details", { class: "explorable-more" }, [
        element("summary", {}, "More about gamma and alpha"), pair(["reading", "alpha"], "two"), pair(["bounded"], ""), pair(["lowest", "highest"], "two")
      ]),
      pair(["epochs"], ""), start,
      element("div", { class: "explorable-controls two" }, [frequent.node, rare.node]),
      recall.node, pair(["rule"], ""), said, element("table", { class: "explorable-table" }, table), goals.node
    ].forEach(function (part) { node.appendChild(part); });
    take(preset);
  }

  // Whether the goals are reached, and what to say: by the last epoch's summary.
  function answers(data, setting, epochs, last, rule) {
    var found = last.recall.tail >= data.goalRecall, fair = rule === data.rules[0][0];
    var frozen = data.labels.length - last.moved, literal = setting.loss === "afl" && setting.reading === data.readings[0][0];
    var follows = setting.gamma > 0 && !(setting.bounds && setting.bounds[0] === setting.bounds[1]); // else one gamma for all labels
    return [
      {
        reached: epochs > 0 && found && !fair,
        says: !epochs ? "Train first." : found ? (fair ? "The tail is found at " + fixed(last.recall.tail, 2) + ", but micro precision is " + fixed(last.microPrecision, 2) + ". Keep the setting, train on, and change how scores become decisions."
          : "Reached: " + fixed(last.recall.tail, 2) + " with the scores that you had. The loss moves the height of the scores; the rule decides.")
          : "The recall of the tail is " + fixed(last.recall.tail, 2) + "."
      },
      {
        reached: epochs > 0 && literal && follows && frozen === 0,
        says: !epochs ? "Train first." : frozen ? frozen + " labels have not moved." : !literal ? "All labels moved, but this is not the literal reading."
          : !follows ? "All labels moved, but all have the same gamma." : "Reached: all labels moved."
      }
    ];
  }

  Explorables.train = { run: run, meanScore: meanScore, halfway: halfway, answers: answers };
  Explorables.mount("train", build);
}(typeof window === "undefined" ? globalThis : window));
