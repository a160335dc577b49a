// The arithmetic of statcheck: which averages can have produced printed values. It does what afl_helpers/claims/statcheck.py
// does, where the reasons are, and a test compares the two on many inputs.
(function (root) {
  "use strict";
  var Explorables = (root.Explorables = root.Explorables || {});

  // The numbers that round to a printed share, [lowest, highest]; an error says what is wrong with the text.
  function printedRange(text) {
    var match = /^\s*(\d*)(?:\.(\d*))?\s*$/.exec(text);
    if (!match || !(match[1] || match[2])) {
      throw new Error("Write a share as printed, such as 0.4707.");
    }
    if ((match[1] + (match[2] || "")).replace(/^0+/, "").length > constants().mostDigits) {
      throw new Error("Write it as the paper prints it, with at most " + constants().mostDigits + " digits.");
    }
    var unit = Math.pow(10, (match[2] || "").length), number = Number(match[1] + (match[2] || ""));
    var low = (2 * number - 1) / (2 * unit), high = (2 * number + 1) / (2 * unit);
    if (low > 1) {
      throw new Error("This is above 1; a share is between 0 and 1. Divide percentages by 100.");
    }
    return [Math.max(low, 0), Math.min(high, 1)];
  }

  function f1Of(precision, recall) {
    return precision + recall > 0 ? (2 * precision * recall) / (precision + recall) : 0;
  }

  function constants() { return Explorables.data.statcheck; }

  function meet(first, second) {
    var tolerance = constants().tolerance;
    return first[0] <= second[1] + tolerance && second[0] <= first[1] + tolerance;
  }

  // Corners [x, y] of the polygon in which a x + b y <= c for every [a, b, c].
  function cornersOf(constraints) {
    var found = [], slack = constants();
    constraints.forEach(function (first, i) {
      constraints.slice(i + 1).forEach(function (second) {
        var determinant = first[0] * second[1] - second[0] * first[1];
        if (Math.abs(determinant) <= slack.parallel) {
          return;
        }
        var x = (first[2] * second[1] - second[2] * first[1]) / determinant;
        var y = (first[0] * second[2] - second[0] * first[2]) / determinant;
        var inside = constraints.every(function (one) {
          var terms = [x * one[0], y * one[1]];
          return terms[0] + terms[1] <= one[2] + slack.tolerance * (1 + Math.abs(terms[0]) + Math.abs(terms[1]));
        });
        if (inside) {
          found.push([x, y]);
        }
      });
    });
    return found;
  }

  // The least and the largest value of a bilinear function on a polygon, or null if it is empty.
  function extremes(corners, value) {
    var values = corners.map(function (point) { return value(point[0], point[1]); });
    corners.forEach(function (u, i) {
      corners.slice(i + 1).forEach(function (v) {
        var start = value(u[0], u[1]), half = value((u[0] + v[0]) / 2, (u[1] + v[1]) / 2), end = value(v[0], v[1]);
        var curve = 2 * (start + end - 2 * half), at = -(end - start - curve) / (2 * curve);
        if (Math.abs(curve) > constants().flat && at > 0 && at < 1) {
          values.push(value(u[0] + at * (v[0] - u[0]), u[1] + at * (v[1] - u[1])));
        }
      });
    });
    return values.length ? [Math.min.apply(null, values), Math.max.apply(null, values)] : null;
  }

  // The least mean F1 of nLabels labels (null: of ever more) with this mean precision and mean recall.
  function leastMeanF1(precision, recall, nLabels) {
    var tolerance = constants().tolerance;
    function whole(mean) {
      var number = Math.min(Math.floor(mean * nLabels + tolerance), nLabels - 1);
      return [number, Math.max(mean * nLabels - number, 0)];
    }
    function meeting(onesP, onesR, labels) {
      return Math.min(onesP, onesR) < 0 || Math.max(onesP, onesR) > labels ? Infinity : Math.max(0, onesP + onesR - labels);
    }
    if (nLabels === null) {
      return Math.max(0, precision + recall - 1);
    }
    var p = whole(precision), r = whole(recall);
    var totals = [f1Of(p[1], r[1]) + meeting(p[0], r[0], nLabels - 1)];
    [0, 1].forEach(function (besideP) {
      [0, 1].forEach(function (besideR) {
        totals.push(f1Of(p[1], besideP) + f1Of(besideR, r[1]) + meeting(p[0] - besideR, r[0] - besideP, nLabels - 2));
      });
    });
    return Math.min.apply(null, totals) / nLabels;
  }

  function regionOf(precision, recall, f1) {
    var constraints = [[-1, 0, -recall[0]], [1, 0, recall[1]], [0, -1, 0], [precision[0] - 1, precision[0], 0]];
    if (precision[1] < 1) {
      constraints.push([1 - precision[1], -precision[1], 0]);
    }
    if (f1[0] > 0) {
      constraints.push([f1[0] - 2, f1[0], -f1[0]]);
    }
    constraints.push([2 - f1[1], -f1[1], f1[1]]);
    if (f1[0] === 0) {
      constraints.push([0, 1, constants().many]);
    }
    return constraints;
  }

  function recallsOfMeanF1(precision, recall, f1) {
    var low = recall[0], high = Math.min(recall[1], 1 + f1[1] - precision[0]);
    if (f1[0] > 0) {
      low = Math.max(low, 2 * precision[1] > f1[0] ? (f1[0] * precision[1]) / (2 * precision[1] - f1[0]) : high);
    }
    return [Math.min(low, high), high];
  }

  function aucRange(aucOf, region, recalls, ratio) {
    var anyRate = [recalls[0] / 2, (1 + recalls[1]) / 2];
    if (!region || !ratio) {
      return aucOf === "decisions" ? anyRate : [0, 1];
    }
    var kLow = ratio[0], kHigh = ratio[1];
    var few = cornersOf(region.concat([[0, kHigh, 1]])), all = cornersOf(region.concat([[0, kLow, 1]]));
    var many = kHigh > 0 ? cornersOf(region.concat([[0, -kHigh, -1]])) : [];
    var highest, lowest;
    if (aucOf === "decisions") {
      highest = extremes(all, function (r, t) { return (1 + r - kLow * t) / 2; });
      lowest = [extremes(few, function (r, t) { return (1 + r - kHigh * t) / 2; }), extremes(many, function (r) { return r / 2; })];
    } else {
      highest = extremes(all, function (r, t) { return 1 - kLow * t * (1 - r); });
      lowest = [extremes(few, function (r, t) { return r * (1 - kHigh * t); }), many.length ? [0, 0] : null];
    }
    lowest = lowest.filter(Boolean).map(function (one) { return one[0]; });
    return highest && lowest.length ? [Math.max(Math.min.apply(null, lowest), 0), Math.min(highest[1], 1)] : anyRate;
  }

  function words(before, range) {
    return before + range[0].toFixed(4) + " to " + range[1].toFixed(4);
  }

  // given: {precision, recall, f1, auc}, each [lowest, highest] or null; nLabels or null; density [lowest, highest] or null.
  // Returns one check per reading: {average, aucOf, f1, auc, reason}; an empty reason means that it is possible.
  function checkReadings(given, nLabels, density) {
    var data = constants(), any = [0, 1];
    var precision = given.precision || any, recall = given.recall || any, f1 = given.f1 || any;
    var ratio = density && density.map(function (d) { return d / (1 - d); });
    var checks = [];
    data.averages.forEach(function (average, number) {
      var meanOfF1s = number === 1;
      (given.auc ? data.aucSources : [null]).forEach(function (aucOf) {
        var least = meanOfF1s ? leastMeanF1(precision[0], recall[0], nLabels) : f1Of(precision[0], recall[0]);
        var check = { average: average, aucOf: aucOf, f1: [least, f1Of(precision[1], recall[1])], auc: null, reason: "" };
        checks.push(check);
        if (!meet(f1, check.f1)) {
          check.reason = words("precision and recall allow an F1 from ", check.f1);
        } else if (aucOf) {
          var region = meanOfF1s ? null : regionOf(precision, recall, f1);
          var recalls = meanOfF1s ? recallsOfMeanF1(precision, recall, f1) : extremes(cornersOf(region), function (r) { return r; }) || recall;
          check.auc = aucRange(aucOf, number === 0 ? region : null, recalls, ratio);
          check.reason = meet(given.auc, check.auc) ? "" : words("the other values allow an AUC from ", check.auc);
        }
      });
    });
    return checks;
  }

  Explorables.intervals = { printedRange: printedRange, checkReadings: checkReadings, f1Of: f1Of };
}(typeof window === "undefined" ? globalThis : window));
