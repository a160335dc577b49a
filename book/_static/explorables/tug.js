// Tug of war: one positive against many negatives. The positive pulls the logit up, the negatives pull it down. Gamma decides
// who wins at a score, and so where the two balance.
(function (root) {
  "use strict";
  var Explorables = root.Explorables, losses = Explorables.losses, widgets = Explorables.widgets;
  var element = widgets.element, fixed = widgets.fixed;

  // All that the drawings and sentences need. score: where the model has the documents now.
  function pulls(data, gamma, score) {
    var z = losses.logit(score), rate = data.positives / (data.positives + data.negatives);
    return {
      up: data.positives * losses.positivePull(gamma, z),
      down: data.negatives * losses.positivePull(gamma, -z),
      balance: losses.sigmoid(losses.bestConstantLogit(rate, gamma)),
      posterior: losses.sigmoid(losses.posteriorLogit(z, gamma)),
      rate: rate
    };
  }

  // About three digits, whatever the size.
  function digits(value) {
    if (value >= 0.001) {
      return fixed(value, value >= 100 ? 0 : value >= 10 ? 1 : 3);
    }
    return value < 1e-9 ? "almost 0" : fixed(value, 1 - Math.floor(Math.log10(value)));
  }

  function answers(data, state) {
    var now = pulls(data, state.gamma, state.score), before = pulls(data, state.gamma - data.gamma.step, state.score);
    var goal = data.goals, wins = now.up > now.down, atStart = Math.abs(state.score - goal.score) < data.score.step / 2;
    var least = wins && (state.gamma < data.gamma.step || before.up <= before.down);
    var first = !atStart ? "Put the score back to " + fixed(goal.score, 2) + "."
      : !wins ? "Not yet: the negatives pull " + digits(now.down / now.up) + " times as hard."
      : least ? "Reached at gamma " + fixed(state.gamma, 1) + ": one positive outpulls " + data.negatives + " negatives."
      : "The positive wins, but a smaller gamma is enough.";
    var there = now.balance >= goal.balance;
    var second = "The balance point is " + fixed(now.balance, 3) + (there ? ". A model that learns nothing but how rare the label is would stop here." : ".");
    var atEnd = state.gamma >= data.gamma.max;
    var third = atEnd ? "No: at gamma " + fixed(state.gamma, 0) + " it is " + fixed(now.balance, 3) +
      ". At one half each document pulls equally hard, so the side with more documents wins there, whatever gamma is." : "Raise gamma to the end to see.";
    return [{ reached: atStart && least, says: first }, { reached: there, says: second }, { reached: atEnd, says: third }];
  }

  function build(node, data) {
    var state = { gamma: data.gamma.value, score: data.score.value };
    var scores = [], score;
    for (score = data.score.min; score <= data.score.max; score += data.score.step) {
      scores.push(score);
    }
    // Without gamma the curves cross at the rate itself, left of the first score that the slider has.
    for (score = data.score.min / 2; score > pulls(data, 0, data.score.min).rate / 4; score /= 2) {
      scores.unshift(score);
    }
    var many = data.negatives + " negatives";

    // The rope: both pulls as shares of one bar.
    var rope = widgets.chart({
      height: 118, left: 0,
      label: function () {
        var now = pulls(data, state.gamma, state.score);
        return "A bar divided between the pull of the negatives, " + digits(now.down) + ", and the pull of the positive, " + digits(now.up) + ".";
      },
      x: { domain: [0, 1], title: "" }, y: { domain: [0, 1], ticks: [], title: "" },
      draw: function (plot) {
        var now = pulls(data, state.gamma, state.score), share = now.down / (now.up + now.down);
        var cut = plot.x(share), middle = plot.x(0.5), high = 44, low = 80;
        plot.text(plot.left, high - 26, many, "first");
        plot.text(plot.left, high - 9, "pull down by " + digits(now.down), "first");
        plot.text(plot.right, high - 26, data.positives + " positive", "second", "end");
        plot.text(plot.right, high - 9, "pulls up by " + digits(now.up), "second", "end");
        plot.box(plot.left, high, cut - plot.left - 1, low - high, "first");
        plot.box(cut + 1, high, plot.right - cut - 1, low - high, "second");
        plot.rule(middle, high - 4, middle, low + 4, "");
        plot.text(middle, low + 22, now.up > now.down ? "The positive wins: the score rises." : "The negatives win: the score falls.", "strong", "middle");
      }
    });

    var x = { domain: [0, data.score.max], ticks: data.score.ticks, title: "score p", format: function (v) { return fixed(v, 1); } };
    function balanceRule(plot, words, height) {
      var at = pulls(data, state.gamma, state.score).balance, place = plot.x(at), near = at > data.score.max / 2;
      plot.rule(place, plot.top, place, plot.bottom, "");
      if (words) {
        plot.text(place + (near ? -8 : 8), height, words + fixed(at, 3), "strong", near ? "end" : "start");
      }
    }
    var curves = widgets.chart({
      height: 290,
      label: function () {
        return "Two curves against the score, on a logarithmic axis: the pull of the positive, and that of all negatives, which rises. They cross at " +
          fixed(pulls(data, state.gamma, state.score).balance, 3) + ", the balance point.";
      },
      x: x, y: { domain: data.pulls.domain, ticks: data.pulls.ticks, title: "size of the pull", format: String, log: true },
      draw: function (plot) {
        var down = scores.map(function (p) { return [p, pulls(data, state.gamma, p).down]; });
        var up = scores.map(function (p) { return [p, pulls(data, state.gamma, p).up]; });
        var now = pulls(data, state.gamma, state.score);
        function inside(value) { return Math.min(Math.max(value, data.pulls.domain[0]), data.pulls.domain[1]); }
        plot.line(down, "first");
        plot.line(up, "second");
        // The name of the positive's curve stands below its end; where that is off the chart, above, and the other words make room.
        var above = plot.y(inside(down[down.length - 1][1])) - 8, below = plot.y(inside(up[up.length - 1][1])) + 20;
        var low = below > plot.bottom - 28;
        balanceRule(plot, "balance at ", low ? plot.top + 17 : plot.bottom - 10);
        [[now.down, "first"], [now.up, "second"]].forEach(function (pull) {
          if (pull[0] === inside(pull[0])) { // a pull beyond the axis has no dot
            plot.dot(state.score, pull[0], pull[1]);
          }
        });
        plot.text(plot.right, above, many, "first", "end");
        plot.text(plot.right, low ? below - 28 : below, data.positives + " positive", "second", "end");
      }
    });
    var map = widgets.chart({
      height: 250, left: 58,
      label: function () {
        return "The posterior map: the probability that a score stands for, rising with the score. At the balance point it is " +
          digits(pulls(data, state.gamma, state.score).rate) + ".";
      },
      x: x, y: { domain: data.posterior.domain, ticks: data.posterior.ticks, title: "probability that the score stands for", format: String, log: true },
      draw: function (plot) {
        var now = pulls(data, state.gamma, state.score), height = plot.y(now.rate);
        plot.line(scores.map(function (p) { return [p, pulls(data, state.gamma, p).posterior]; }), "third");
        balanceRule(plot);
        plot.rule(plot.left, height, plot.right, height, "");
        plot.text(plot.right, height + 17, data.positives + " document in " + (data.positives + data.negatives), "strong", "end");
        plot.dot(now.balance, now.rate, "third");
      }
    });
    curves.options.left = 58; // both charts share one horizontal axis

    var goals = widgets.goals(data.goals.tasks);
    var summary = element("p", { class: "explorable-summary" });
    function show() {
      var now = pulls(data, state.gamma, state.score);
      [rope, curves, map].forEach(function (chart) { chart.draw(); });
      summary.textContent = "With gamma " + fixed(state.gamma, 1) + ", a score of " + fixed(state.score, 3) + " stands for a probability of " +
        digits(now.posterior) + "; the balance point " + fixed(now.balance, 3) + " stands for " + digits(now.rate) + ".";
      goals.update(answers(data, state));
    }
    function control(name, label, decimals) {
      var range = data[name];
      return widgets.slider({
        label: label, min: range.min, max: range.max, step: range.step, value: range.value,
        format: function (value) { return fixed(value, decimals); },
        onchange: function (value) { state[name] = value; show(); }
      });
    }
    [
      element("div", { class: "explorable-controls" }, [
        control("gamma", "gamma", 1).node, control("score", "score that the model gives all documents now", 3).node
      ]),
      rope.node, curves.node, map.node, summary, goals.node
    ].forEach(function (part) { node.appendChild(part); });
    show();
  }

  Explorables.tug = { pulls: pulls, answers: answers };
  Explorables.mount("tug", build);
}(typeof window === "undefined" ? globalThis : window));
