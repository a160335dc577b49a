// Statcheck for multi-label papers: type in what a paper prints, and see which averages can have produced it.
(function (root) {
  "use strict";
  var Explorables = root.Explorables, intervals = Explorables.intervals, widgets = Explorables.widgets;
  var element = widgets.element, fixed = widgets.fixed;
  var VALUES = ["precision", "recall", "f1", "auc"];

  // A share, or "low to high" or "low-high"; null if the field is empty.
  function densityRange(text) {
    if (!text.trim()) {
      return null;
    }
    var ends = text.split(/:|to|\u2013|-/).map(function (part) { return part.trim() === "" ? NaN : Number(part); });
    var low = ends[0], high = ends.length > 1 ? ends[1] : ends[0];
    if (ends.length > 2 || !(low >= 0 && low <= high && high < 1)) {
      throw new Error("Write a share below 1, such as 0.03, or a range such as 0.01 to 0.2.");
    }
    return [low, high];
  }

  function labelNumber(text) {
    if (!text.trim()) {
      return null;
    }
    if (!/^\s*[1-9]\d*\s*$/.test(text)) {
      throw new Error("Write a whole number from 1.");
    }
    return Number(text);
  }

  // Read the texts of all fields: {given, nLabels, density, errors}.
  function read(texts) {
    var errors = {}, given = {};
    function attempt(name, parse) {
      try {
        return parse(texts[name]);
      } catch (error) {
        errors[name] = error.message;
        return null;
      }
    }
    VALUES.forEach(function (name) {
      given[name] = texts[name].trim() ? attempt(name, intervals.printedRange) : null;
    });
    return { given: given, nLabels: attempt("labels", labelNumber), density: attempt("density", densityRange), errors: errors };
  }

  // The printed number with one more in its last digit.
  function next(text) {
    var decimals = (text.split(".")[1] || "").trim().length;
    return (Number(text) + Math.pow(10, -decimals)).toFixed(decimals);
  }

  function ofDecisions(checks) {
    return checks.filter(function (check) { return check.aucOf === "decisions" && !check.reason; }).length;
  }

  function answers(data, input, checks, texts) {
    var given = input.given, possible = checks.filter(function (check) { return !check.reason; });
    var three = given.precision && given.recall && given.f1, two = given.recall && given.auc && checks.length;
    var only = three && possible.length > 0 && possible.every(function (check) { return check.average === data.averages[1]; });
    var fits = two && ofDecisions(checks), kept = texts.recall.trim() === data.examples[0].values.recall, higher;
    if (fits && Number(next(texts.auc)) <= 1) { // above 1 there is nothing to compare with
      higher = { precision: given.precision, recall: given.recall, f1: given.f1, auc: intervals.printedRange(next(texts.auc)) };
      higher = ofDecisions(intervals.checkReadings(higher, input.nLabels, input.density));
    }
    return [
      {
        reached: Boolean(only),
        says: !three ? "Give precision, recall and F1." : only ? "Reached: this F1 is not that of the two printed values, so it is a mean of F1s."
          : possible.length ? possible.length + " of " + checks.length + " readings are possible." : "No reading is left. Try another F1."
      },
      {
        reached: Boolean(fits && !higher && kept),
        says: !two ? "Give a recall and an AUC." : !fits ? "Not possible: no AUC of decisions can be " + texts.auc + " here." : higher ? "Possible, and so is a higher one."
          : !kept ? texts.auc + " is the highest for this recall. Now with the paper's, " + data.examples[0].values.recall + "."
          : "Reached: " + texts.auc + " is the highest. Whatever is printed above it is an AUC of scores."
      }
    ];
  }

  // What a possible reading allows.
  function words(check) {
    var texts = ["F1 from " + fixed(check.f1[0], 4) + " to " + fixed(check.f1[1], 4)];
    if (check.auc) {
      texts.push("AUC from " + fixed(check.auc[0], 4) + " to " + fixed(check.auc[1], 4));
    }
    return "the other values allow an " + texts.join(" and an ");
  }

  function build(node, data) {
    var titles = { precision: "precision", recall: "recall", f1: "F1", auc: "ROC AUC", labels: "number of labels", density: "density" };
    var hints = { labels: "empty: any", density: "labels per document / number of labels; empty: any" };
    var fields = {}, note = element("p", {}), body = element("tbody", {});
    var said = element("p", { role: "status", class: "explorable-summary" });
    var goals = widgets.goals(data.goals);
    Object.keys(titles).forEach(function (name) {
      fields[name] = widgets.field({
        label: titles[name], value: "", hint: hints[name] || "as printed; empty: not printed",
        inputmode: name === "density" ? "text" : "decimal", onchange: function () { note.textContent = ""; press(-1); show(); }
      });
    });
    var buttons = data.examples.map(function (example, i) {
      return widgets.button(example.title, function () {
        Object.keys(fields).forEach(function (name) { fields[name].set(example.values[name] || ""); });
        widgets.empty(note);
        note.appendChild(element("span", {}, [example.note].concat(
          example.source ? [" Read it: ", element("a", { href: example.source.url }, example.source.title), "."] : []
        )));
        press(i);
        show();
      });
    });
    function press(number) {
      buttons.forEach(function (button, i) { button.setAttribute("aria-pressed", String(i === number)); });
    }

    function show() {
      var texts = {}, input, checks = [], given, possible;
      Object.keys(fields).forEach(function (name) { texts[name] = fields[name].get(); });
      input = read(texts);
      Object.keys(fields).forEach(function (name) { fields[name].complain(input.errors[name]); });
      given = VALUES.filter(function (name) { return input.given[name]; });
      if (given.length > 1 && !Object.keys(input.errors).length) {
        checks = intervals.checkReadings(input.given, input.nLabels, input.density);
      }
      widgets.empty(body);
      checks.forEach(function (check) {
        body.appendChild(element("tr", {}, [
          element("th", { scope: "row" }, [
            check.average + (check.aucOf ? "; AUC of " + check.aucOf : ""),
            element("span", { class: "explorable-says explorable-hint" }, check.reason || words(check))
          ]),
          element("td", { class: check.reason ? "explorable-no" : "explorable-yes" }, check.reason ? "\u2717 excluded" : "\u2713 possible")
        ]));
      });
      possible = checks.filter(function (check) { return !check.reason; }).length;
      said.textContent = !checks.length ? "Give at least two values." : possible ? possible + " of " + checks.length + " readings are possible."
        : "No reading gives these values: one of them is printed wrong, or averaged in another way.";
      goals.update(answers(data, input, checks, texts));
    }

    [
      element("div", { class: "explorable-buttons", role: "group", "aria-label": "Examples" }, buttons), note,
      element("div", { class: "explorable-controls two" }, Object.keys(fields).map(function (name) { return fields[name].node; })), said,
      element("table", { class: "explorable-table" }, [
        element("thead", {}, element("tr", {}, ["reading", "verdict"].map(function (head) { return element("th", { scope: "col" }, head); }))), body
      ]),
      goals.node
    ].forEach(function (part) { node.appendChild(part); });
    buttons[0].click();
  }

  Explorables.statcheck = { read: read, answers: answers };
  Explorables.mount("statcheck", build);
}(typeof window === "undefined" ? globalThis : window));
