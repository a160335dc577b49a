// Linear heads on word counts: tokens and TF-IDF as scikit-learn has them, scores, and the words that made them.
(function (root) {
  "use strict";
  var Explorables = (root.Explorables = root.Explorables || {});
  var losses = Explorables.losses;

  // The words of a text in lower case, two characters or more. This is scikit-learn's pattern \b\w\w+\b: Python's \w is a
  // letter or a number of any script, or "_".
  function tokens(text) {
    return text.toLowerCase().match(/[\p{L}\p{N}_]{2,}/gu) || [];
  }

  function bytesOf(text) {
    return root.atob(text).split("").map(function (one) { return one.charCodeAt(0); });
  }

  // Turn the data of a file into heads: words to places, and per loss the weights, (labels, perLabel).
  function readHeads(data) {
    var bytes = bytesOf(data.places), at = new Map(), weights = {};
    data.words.split(" ").forEach(function (word, place) { at.set(word, place); });
    Object.keys(data.weights).forEach(function (loss) {
      weights[loss] = bytesOf(data.weights[loss]).map(function (byte, i) {
        return (byte > 127 ? byte - 256 : byte) * data.steps[loss][Math.floor(i / data.perLabel)];
      });
    });
    return {
      at: at, idf: data.idf, perLabel: data.perLabel, weights: weights, bias: data.bias, thresholds: data.thresholds,
      places: bytes.filter(function (_, i) { return i % 2 === 0; }).map(function (low, i) { return low + 256 * bytes[2 * i + 1]; })
    };
  }

  // The features of a text: TF-IDF with 1 + log(count), scaled to a length of 1. words: in the order of the text, each once.
  function featuresOf(heads, text) {
    var counts = new Map(), all = tokens(text), values = new Float64Array(heads.idf.length), length = 0, known = 0;
    all.forEach(function (token) {
      if (heads.at.has(token)) {
        known += 1;
        counts.set(token, (counts.get(token) || 0) + 1);
      }
    });
    counts.forEach(function (count, word) {
      var place = heads.at.get(word);
      values[place] = (1 + Math.log(count)) * heads.idf[place];
      length += values[place] * values[place];
    });
    counts.forEach(function (_, word) { values[heads.at.get(word)] /= Math.sqrt(length); });
    return { values: values, words: Array.from(counts.keys()), nWords: all.length, nKnown: known };
  }

  // The score of each label.
  function scoresOf(heads, loss, features) {
    var weights = heads.weights[loss];
    return heads.bias[loss].map(function (bias, label) {
      var z = bias, i;
      for (i = label * heads.perLabel; i < (label + 1) * heads.perLabel; i += 1) {
        z += weights[i] * features.values[heads.places[i]];
      }
      return losses.sigmoid(z);
    });
  }

  // What the words of a text add to the logit of a label: [[word, amount], ...], the largest amount first.
  function spoke(heads, loss, features, label) {
    var amounts = new Map(), first = label * heads.perLabel, i;
    for (i = first; i < first + heads.perLabel; i += 1) {
      amounts.set(heads.places[i], heads.weights[loss][i]);
    }
    return features.words.map(function (word) {
      var place = heads.at.get(word);
      return [word, (amounts.get(place) || 0) * features.values[place]];
    }).filter(function (one) { return one[1] !== 0; }).sort(function (a, b) { return Math.abs(b[1]) - Math.abs(a[1]); });
  }

  Explorables.words = { tokens: tokens, readHeads: readHeads, featuresOf: featuresOf, scoresOf: scoresOf, spoke: spoke };
}(typeof window === "undefined" ? globalThis : window));
