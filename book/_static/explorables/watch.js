// Watch the encoder learn: the epochs of three trainings side by side, the scores of a label and the metrics by third.
(function (root) {
  "use strict";
  var Explorables = root.Explorables, widgets = Explorables.widgets, element = widgets.element, fixed = widgets.fixed;
  var LINES = ["first", "second", "third"];

  // Counts in bins as scores: each at the middle of its bin.
  function expand(counts) {
    var scores = [];
    counts.forEach(function (count, bin) {
      for (var i = 0; i < count; i += 1) {
        scores.push((bin + 0.5) / counts.length);
      }
    });
    return scores;
  }

  function sum(values) { return values.reduce(function (total, value) { return total + value; }, 0); }

  // The share of the films with a label that pass the threshold, by arm. at: the place of the epoch.
  function found(data, label, at) {
    return data.arms.map(function (arm) {
      var counts = arm.labels[label].positives[at];
      return sum(counts.slice(Math.round(counts.length * data.threshold))) / sum(counts);
    });
  }

  function spread(values) { return Math.max.apply(null, values) - Math.min.apply(null, values); }

  // The largest spread of these shares over all labels and epochs.
  function widest(data) {
    var all = data.labels.map(function (_, label) {
      return Math.max.apply(null, data.epochs.map(function (_, at) { return spread(found(data, label, at)); }));
    });
    return Math.max.apply(null, all);
  }

  // How far the average precision of the tail lies below that of the last epoch, by arm.
  function behind(data, at) {
    return data.arms.map(function (arm) {
      var values = arm.thirds.average_precision_macro.tail;
      return values[values.length - 1] - values[at];
    });
  }

  function isNear(data, at) { return Math.max.apply(null, behind(data, at)) <= data.near; }

  function answers(data, label, at) {
    var first = data.epochs.findIndex(function (_, place) { return isNear(data, place); });
    var shares = found(data, label, at), most = widest(data);
    return [
      {
        reached: at === first,
        says: (at === first ? "Reached. " : isNear(data, at) ? "As good, but an earlier epoch is, too. " : "") + "Behind the last epoch: " +
          data.arms.map(function (arm, i) { return arm.title + " " + fixed(behind(data, at)[i], 3); }).join(", ") + "."
      },
      {
        reached: spread(shares) >= most,
        says: (spread(shares) >= most ? "Reached: nowhere do they lie wider apart. " : "") + "They lie " + fixed(spread(shares), 2) +
          " apart; the widest is " + fixed(most, 2) + "."
      }
    ];
  }

  function build(node, data) {
    if (data.running) {
      node.appendChild(element("p", {}, "The study is still running. Its epochs stand here once all its registered runs are done, and not before."));
      return;
    }
    var state = { at: 0, label: data.labels.length - 1, metric: data.metrics[0][0] };

    var epoch = widgets.slider({
      label: "epoch", min: 0, max: data.epochs.length - 1, step: 1, value: 0,
      format: function (at) { return String(data.epochs[at]); },
      onchange: function (at) { state.at = at; show(); }
    });
    var label = widgets.choice({
      label: "genre, its training films, its third", value: String(state.label),
      choices: data.labels.map(function (one, i) { return [String(i), one.name + ", " + one.count + ", " + one.third]; }),
      onchange: function (value) { state.label = Number(value); show(); }
    });
    var metric = widgets.choice({
      label: "metric, mean over a third of the genres", choices: data.metrics, value: state.metric,
      onchange: function (value) { state.metric = value; show(); }
    });

    var scores = data.arms.map(function (arm) {
      return widgets.distribution({
        name: arm.title, title: arm.title,
        scores: function () {
          var counts = arm.labels[state.label], share = found(data, state.label, state.at)[data.arms.indexOf(arm)];
          return {
            positives: expand(counts.positives[state.at]), negatives: expand(counts.negatives[state.at]), threshold: data.threshold,
            words: "after epoch " + data.epochs[state.at] + ", " + fixed(share, 2) + " of the films with " + data.labels[state.label].name + " pass one half."
          };
        }
      });
    });
    var lines = data.arms.map(function (arm) {
      return widgets.chart({
        height: 250, left: 36,
        label: function () {
          return arm.title + " by epoch. After epoch " + data.epochs[state.at] + ": " + data.thirds.map(function (third) {
            return third + " " + fixed(arm.thirds[state.metric][third][state.at], 3);
          }).join(", ") + ".";
        },
        x: { domain: [data.epochs[0], data.epochs[data.epochs.length - 1]], ticks: data.ticks, title: "epoch", format: String },
        y: { domain: [0, 1], ticks: [0, 0.25, 0.5, 0.75, 1], title: arm.title, format: function (v) { return fixed(v, 2).replace(/^0/, ""); } },
        draw: function (plot) {
          var x = plot.x(data.epochs[state.at]), ends, y = Infinity, shift;
          plot.rule(x, plot.top, x, plot.bottom, "");
          ends = data.thirds.map(function (third, i) {
            var values = arm.thirds[state.metric][third];
            plot.line(values.map(function (value, at) { return [data.epochs[at], value]; }), LINES[i]);
            return { third: third, kind: LINES[i], y: plot.y(values[values.length - 1]) - 6 };
          }).sort(function (a, b) { return b.y - a.y; });
          ends.forEach(function (end, i) { // the lowest name below its line; names a line of text apart, and below the upper edge
            y = i === 0 && end.y + 24 < plot.bottom ? end.y + 24 : Math.min(end.y, y - 16);
            end.y = y;
          });
          shift = Math.max(plot.top + 12 - y, 0);
          ends.forEach(function (end) { plot.text(plot.right, end.y + shift, end.third, end.kind, "end"); });
        }
      });
    });

    var body = element("tbody", {}), said = element("p", { class: "explorable-summary", role: "status" });
    var table = element("table", { class: "explorable-table" }, [
      element("thead", {}, element("tr", {}, ["loss"].concat(data.thirds).map(function (title) {
        return element("th", { scope: "col" }, title);
      }))), body
    ]);
    var goals = widgets.goals(data.goals);

    function show() {
      var shares = found(data, state.label, state.at);
      scores.concat(lines).forEach(function (chart) { chart.draw(); });
      said.textContent = "After epoch " + data.epochs[state.at] + ": " + data.arms.map(function (arm, i) {
        return arm.title + " finds " + fixed(shares[i], 2) + " of the films with " + data.labels[state.label].name;
      }).join("; ") + ".";
      widgets.empty(body);
      data.arms.forEach(function (arm) {
        body.appendChild(element("tr", {}, [element("th", { scope: "row" }, arm.title)].concat(data.thirds.map(function (third) {
          return element("td", {}, fixed(arm.thirds[state.metric][third][state.at], 3));
        }))));
      });
      goals.update(answers(data, state.label, state.at));
    }

    function charts(all) { return element("div", { class: "explorable-controls three" }, all.map(function (one) { return one.node; })); }
    [
      element("div", { class: "explorable-controls" }, epoch.node), element("div", { class: "explorable-controls two" }, [label.node, metric.node]),
      charts(scores), charts(lines), said, table, goals.node
    ].forEach(function (part) { node.appendChild(part); });
    show();
  }

  Explorables.watch = { expand: expand, found: found, widest: widest, behind: behind, answers: answers };
  Explorables.mount("watch", build);
}(typeof window === "undefined" ? globalThis : window));
