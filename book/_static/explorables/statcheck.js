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

  function answers(data, input, checks) {
    var possible = checks.filter(function (check) { return !check.reason; });
    var threeGiven = ["precision", "recall", "f1"].every(function (name) { return input.given[name]; });
    var only = threeGiven && possible.length && possible.every(function (check) { return check.average === data.averages[1]; });
    return [
      { reached: threeGiven && Boolean(only), says: !threeGiven ? "Give precision, recall and F1." : only ? "Reached: an F1 below that of the two means, so it is a mean of F1s." :
        possible.length ? possible.length + " of " + checks.length + " readings are possible." : "No reading is left. Try an F1 that is not as high." },
      { reached: Boolean(input.given.recall && input.given.auc && checks.length && checks.every(function (check) { return check.aucOf === "scores" || check.reason; }) && possible.length),
        says: !(input.given.recall && input.given.auc) ? "Give a recall and an AUC." : possible.length ? "AUCs of decisions that are still possible: " +
          possible.filter(function (check) { return check.aucOf === "decisions"; }).length + "." : "No reading is left." }
    ];
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
        note.textContent = example.note;
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
          element("th", { scope: "row" }, check.average + (check.aucOf ? "; AUC of " + check.aucOf : "")),
          element("td", { class: check.reason ? "explorable-no" : "explorable-yes" }, check.reason ? "\u2717 excluded" : "\u2713 possible"),
          element("td", {}, check.reason || "F1 from " + fixed(check.f1[0], 3) + " to " + fixed(check.f1[1], 3) +
            (check.auc ? ", AUC from " + fixed(check.auc[0], 3) + " to " + fixed(check.auc[1], 3) : ""))
        ]));
      });
      possible = checks.filter(function (check) { return !check.reason; }).length;
      said.textContent = !checks.length ? "Give at least two values." : possible ? possible + " of " + checks.length + " readings are possible."
        : "No reading gives these values: one of them is printed wrong, or averaged in another way.";
      goals.update(answers(data, input, checks));
    }

    [
      element("div", { class: "explorable-buttons", role: "group", "aria-label": "Examples" }, buttons), note,
      element("div", { class: "explorable-controls two" }, Object.keys(fields).map(function (name) { return fields[name].node; })), said,
      element("table", { class: "explorable-table" }, [
        element("thead", {}, element("tr", {}, ["reading", "verdict", "what the other values allow"].map(function (head) { return element("th", { scope: "col" }, head); }))), body
      ]),
      goals.node
    ].forEach(function (part) { node.appendChild(part); });
    buttons[0].click();
  }

  Explorables.statcheck = { read: read, answers: answers };
  Explorables.mount("statcheck", build);
}(typeof window === "undefined" ? globalThis : window));
