// What all explorables share: controls, a chart on SVG, goals with feedback.
//
// An explorable is an element <div data-explorable="name">. Its script calls Explorables.mount("name", build), and build gets
// the element, emptied of the picture that stands there where no script runs. No other library is used.
(function (root) {
  "use strict";
  var Explorables = (root.Explorables = root.Explorables || {});
  var SVG = "http://www.w3.org/2000/svg";
  var numbers = 0; // for ids

  // Append children, texts or elements, after setting the attributes; a function "on..." is an event handler.
  function fill(node, attributes, children) {
    Object.keys(attributes || {}).forEach(function (name) {
      var value = attributes[name];
      if (typeof value === "function") {
        node.addEventListener(name.slice(2), value);
      } else if (value !== null && value !== undefined && value !== false) {
        node.setAttribute(name, value === true ? "" : value);
      }
    });
    (children === undefined ? [] : [].concat(children)).forEach(function (child) {
      node.appendChild(typeof child === "object" ? child : document.createTextNode(String(child)));
    });
    return node;
  }

  function element(tag, attributes, children) {
    return fill(document.createElement(tag), attributes, children);
  }

  function shape(tag, attributes, children) {
    return fill(document.createElementNS(SVG, tag), attributes, children);
  }

  function empty(node) {
    while (node.firstChild) {
      node.removeChild(node.firstChild);
    }
    return node;
  }

  // Write a number with a fixed number of decimals, and a proper minus sign.
  function fixed(value, decimals) {
    return value.toFixed(decimals).replace("-", "\u2212");
  }

  function newId(stem) {
    numbers += 1;
    return "explorable-" + stem + "-" + numbers;
  }

  // ---- controls: each has .node to place, .get(), .set(value) (without calling onchange) and .disable(true) ----

  // A slider as wide as its box. options: label, min, max, step, value, format(value), onchange(value).
  function slider(options) {
    var id = newId("slider"), format = options.format || String;
    var output = element("output", { for: id, class: "explorable-value" });
    var input = element("input", {
      type: "range", id: id, min: options.min, max: options.max, step: options.step,
      oninput: function () { show(); options.onchange(get()); }
    });
    function get() { return Number(input.value); }
    function show() {
      output.textContent = format(get());
      input.setAttribute("aria-valuetext", format(get()));
    }
    function set(value) { input.value = value; show(); }
    set(options.value);
    return {
      node: element("div", { class: "explorable-control" }, [
        element("div", { class: "explorable-label" }, [element("label", { for: id }, options.label), output]), input
      ]),
      get: get, set: set,
      disable: function (off) { input.disabled = off; }
    };
  }

  // A list to choose from. options: label, choices [[value, title], ...], value, onchange(value).
  function choice(options) {
    var id = newId("choice");
    var select = element("select", { id: id, onchange: function () { options.onchange(select.value); } },
      options.choices.map(function (one) { return element("option", { value: one[0] }, one[1]); }));
    select.value = options.value;
    return {
      node: element("div", { class: "explorable-control" }, [
        element("div", { class: "explorable-label" }, element("label", { for: id }, options.label)), select
      ]),
      get: function () { return select.value; },
      set: function (value) { select.value = value; },
      disable: function (off) { select.disabled = off; }
    };
  }

  // A box to tick. options: label, value, onchange(value).
  function tick(options) {
    var id = newId("tick");
    var input = element("input", { type: "checkbox", id: id, onchange: function () { options.onchange(input.checked); } });
    input.checked = options.value;
    return {
      node: element("div", { class: "explorable-control explorable-tick" }, [input, element("label", { for: id }, options.label)]),
      get: function () { return input.checked; },
      set: function (value) { input.checked = value; },
      disable: function (off) { input.disabled = off; }
    };
  }

  // A field to type into, with rows a large one. options: label, value, hint, rows, onchange(text).
  function field(options) {
    var id = newId("field"), hint = newId("hint");
    var input = element(options.rows ? "textarea" : "input", {
      type: options.rows ? null : "text", rows: options.rows, id: id, inputmode: options.inputmode || "decimal", autocomplete: "off",
      "aria-describedby": hint, oninput: function () { options.onchange(input.value); }
    });
    input.value = options.value;
    var note = element("span", { id: hint, class: "explorable-hint" }, options.hint || "");
    return {
      node: element("div", { class: "explorable-control" }, [
        element("div", { class: "explorable-label" }, element("label", { for: id }, options.label)), input, note
      ]),
      get: function () { return input.value; },
      set: function (value) { input.value = value; },
      complain: function (message) {
        note.textContent = message || options.hint || "";
        note.classList.toggle("explorable-wrong", Boolean(message));
        input.setAttribute("aria-invalid", message ? "true" : "false");
      }
    };
  }

  function button(label, onclick, kind) {
    return element("button", { type: "button", class: "explorable-button " + (kind || ""), onclick: onclick }, label);
  }

  // ---- goals: tasks that say how near the reader is, and when they are reached ----

  // tasks: texts. update(answers) takes, per task, {reached, says}. A goal that was reached once keeps its mark.
  function goals(tasks) {
    var reached = tasks.map(function () { return false; });
    var rows = tasks.map(function (task) {
      var mark = element("span", { class: "explorable-mark", "aria-hidden": "true" }, "\u25cb");
      var says = element("span", { class: "explorable-says", role: "status" });
      return { mark: mark, says: says, node: element("li", {}, [mark, element("div", {}, [element("strong", {}, task), says])]) };
    });
    return {
      node: element("ol", { class: "explorable-goals", "aria-label": "Goals" }, rows.map(function (row) { return row.node; })),
      update: function (answers) {
        rows.forEach(function (row, i) {
          reached[i] = reached[i] || answers[i].reached;
          row.node.className = reached[i] ? "reached" : "";
          row.mark.textContent = reached[i] ? "\u2713" : "\u25cb";
          if (row.says.textContent !== answers[i].says) { // a screen reader reads what changes
            row.says.textContent = answers[i].says;
          }
        });
      }
    };
  }

  // ---- the chart ----

  function linear(domain, range) {
    return function (value) {
      return range[0] + ((value - domain[0]) / (domain[1] - domain[0])) * (range[1] - range[0]);
    };
  }

  function logarithmic(domain, range) {
    var scale = linear(domain.map(Math.log), range);
    return function (value) { return scale(Math.log(value)); };
  }

  // A chart that is drawn anew at each change and at each width. options: height, label (for readers who do not see it),
  // x and y: {domain, ticks, title, format, log, hidden}, draw(plot). plot has x(value), y(value), left, right, top, bottom
  // and line, box, dot, text, rule.
  function chart(options) {
    var box = element("div", { class: "explorable-chart" });
    var picture = shape("svg", { role: "img", class: "explorable-drawing" });
    var drawnAt = 0;
    box.appendChild(picture);

    function axes(plot) {
      options.y.ticks.forEach(function (value) {
        picture.appendChild(shape("line", { class: "grid", x1: plot.left, x2: plot.right, y1: plot.y(value), y2: plot.y(value) }));
        plot.text(plot.left - 6, plot.y(value) + 4, options.y.format(value), "tick", "end");
      });
      (options.x.ticks || []).forEach(function (value) {
        picture.appendChild(shape("line", { class: "grid", x1: plot.x(value), x2: plot.x(value), y1: plot.top, y2: plot.bottom }));
        plot.text(plot.x(value), plot.bottom + 17, options.x.format(value), "tick", "middle");
      });
      plot.text(plot.right, plot.bottom + 34, options.x.title, "title", "end");
      plot.text(0, 12, options.y.title, "title", "start");
    }

    function draw() {
      var width = box.clientWidth;
      if (!width) {
        return;
      }
      drawnAt = width;
      empty(picture);
      fill(picture, { viewBox: "0 0 " + width + " " + options.height, width: width, height: options.height, "aria-label": options.label() });
      var plot = { left: options.left === undefined ? 44 : options.left, right: width - (options.left === 0 ? 0 : 12), top: 24, bottom: options.height - 42 };
      plot.x = (options.x.log ? logarithmic : linear)(options.x.domain, [plot.left, plot.right]);
      plot.y = (options.y.log ? logarithmic : linear)(options.y.domain, [plot.bottom, plot.top]);
      function add(tag, attributes, children) { return picture.appendChild(shape(tag, attributes, children)); }
      var clip = newId("clip"); // what leaves the axes is cut off
      add("clipPath", { id: clip }, shape("rect", { x: plot.left, y: plot.top - 1, width: Math.max(plot.right - plot.left, 0), height: plot.bottom - plot.top + 2 }));
      plot.line = function (points, kind) {
        var places = points.map(function (point) { return plot.x(point[0]).toFixed(1) + "," + plot.y(point[1]).toFixed(1); });
        return add("polyline", { class: "line " + kind, points: places.join(" "), "clip-path": "url(#" + clip + ")" });
      };
      plot.box = function (x, y, w, h, kind) { return add("rect", { class: "box " + kind, x: x, y: y, width: Math.max(w, 0), height: Math.max(h, 0) }); };
      plot.dot = function (x, y, kind) { return add("circle", { class: "dot " + kind, cx: plot.x(x), cy: plot.y(y), r: 6 }); };
      plot.rule = function (x1, y1, x2, y2, kind) { return add("line", { class: "rule " + kind, x1: x1, y1: y1, x2: x2, y2: y2 }); };
      plot.text = function (x, y, words, kind, anchor) { return add("text", { class: kind || "", x: x, y: y, "text-anchor": anchor || "start" }, words); };
      axes(plot);
      options.draw(plot);
    }

    if (root.ResizeObserver) {
      new root.ResizeObserver(function () { if (box.clientWidth !== drawnAt) { draw(); } }).observe(box);
    } else {
      root.addEventListener("resize", draw);
    }
    return { node: box, draw: draw, options: options };
  }

  // ---- two distributions, one above the other ----

  var BINS = 30;

  // Shares of scores in [0, 1] by bin.
  function shares(scores) {
    var counts = [], bin;
    for (bin = 0; bin < BINS; bin += 1) {
      counts.push(0);
    }
    scores.forEach(function (score) { counts[Math.min(Math.floor(score * BINS), BINS - 1)] += 1; });
    return counts.map(function (count) { return scores.length ? count / scores.length : 0; });
  }

  // A chart of the scores of the films with a label, above, and of those without it, below. scores() is asked at each
  // drawing and returns {positives, negatives, threshold, words}, with words for readers who do not see the chart.
  function distribution(options) {
    return chart({
      height: 250, left: 8,
      label: function () { return "Distribution of the scores of " + options.name + ": " + options.scores().words; },
      x: { domain: [0, 1], ticks: [0, 0.25, 0.5, 0.75, 1], title: "score", format: function (v) { return v === 0 || v === 1 ? String(v) : String(v).slice(1); } },
      y: { domain: [-1, 1], ticks: [], title: options.title },
      draw: function (plot) {
        var now = options.scores(), zero = plot.y(0), at = plot.x(now.threshold);
        var heights = { positives: shares(now.positives), negatives: shares(now.negatives) };
        var most = Math.max.apply(null, heights.positives.concat(heights.negatives));
        [["positives", "second", -1], ["negatives", "first", 1]].forEach(function (kind) {
          heights[kind[0]].forEach(function (share, bin) {
            var left = plot.x(bin / BINS), height = (share / most) * (plot.bottom - zero - 24); // a line of text stands above
            plot.box(left + 0.5, kind[2] < 0 ? zero - height : zero, plot.x((bin + 1) / BINS) - left - 1, height, kind[1]);
          });
        });
        plot.rule(plot.left, zero, plot.right, zero, "now");
        plot.rule(at, plot.top, at, plot.bottom, "");
        plot.text(plot.right, plot.top + 14, now.positives.length + " films with it", "second", "end");
        plot.text(plot.right, plot.bottom - 6, now.negatives.length + " without (bars: share of each group)", "first", "end");
      }
    });
  }

  // Call build(element, data) for each element of this name, once the page has been read.
  function mount(name, build) {
    function start() {
      [].forEach.call(document.querySelectorAll('[data-explorable="' + name + '"]'), function (node) {
        empty(node);
        node.classList.add("explorable");
        build(node, Explorables.data[name]);
        node.setAttribute("data-ready", "");
      });
    }
    if (typeof document === "undefined") {
      return; // node, in the tests
    }
    if (document.readyState === "loading") {
      document.addEventListener("DOMContentLoaded", start);
    } else {
      start();
    }
  }

  Explorables.data = Explorables.data || {};
  Explorables.widgets = {
    element: element, empty: empty, fixed: fixed, slider: slider, choice: choice, tick: tick, field: field, button: button,
    goals: goals, chart: chart, distribution: distribution
  };
  Explorables.mount = mount;
}(typeof window === "undefined" ? globalThis : window));
