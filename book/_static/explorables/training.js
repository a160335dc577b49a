// Trains a linear head on film embeddings, as afl_helpers/training/probing.py does: AdamW, batches in the order of the file.
(function (root) {
  "use strict";
  var Explorables = (root.Explorables = root.Explorables || {});
  var losses = Explorables.losses;

  // Turn base64 of int8 numbers into numbers, film by film.
  function decode(text, scale) {
    var bytes = root.atob(text), values = new Float64Array(bytes.length), i, byte;
    for (i = 0; i < bytes.length; i += 1) {
      byte = bytes.charCodeAt(i);
      values[i] = (byte > 127 ? byte - 256 : byte) * scale;
    }
    return values;
  }

  // The films as matrices, row by row: x (films, dimensions) and y (films, labels), training films first.
  function readFilms(data) {
    var nLabels = data.labels.length, n = data.films.length, y = new Uint8Array(n * nLabels);
    data.films.forEach(function (labels, film) {
      labels.forEach(function (label) { y[film * nLabels + label] = 1; });
    });
    return {
      x: decode(data.embeddings, data.scale), y: y, dimensions: data.dimensions, nLabels: nLabels, n: n, nTrain: data.nTrain,
      counts: data.counts, groups: data.groups
    };
  }

  // What a setting means for these films: gamma and alpha per label, and where the bias starts.
  // setting: {loss: "bce" | "focal" | "afl", gamma, reading, bounds, alpha, start}
  function prepare(films, setting, effectiveBeta) {
    var gamma = films.counts.map(function () { return setting.loss === "bce" ? 0 : setting.gamma; });
    if (setting.loss === "afl") {
      gamma = losses.classGamma(films.counts, films.nTrain, setting.gamma, setting.reading, setting.bounds);
    }
    return {
      gamma: gamma,
      alpha: losses.classAlpha(films.counts, setting.loss === "afl" ? setting.alpha : "none", effectiveBeta),
      bias: films.counts.map(function (count, label) { return losses.startLogit(setting.start, count, films.nTrain, gamma[label]); })
    };
  }

  // A head that is trained epoch by epoch. optimizer: {learningRate, weightDecay, beta1, beta2, epsilon, batchSize}
  function Head(films, setting, optimizer, effectiveBeta) {
    var prepared = prepare(films, setting, effectiveBeta);
    var size = (films.dimensions + 1) * films.nLabels, biasAt = films.dimensions * films.nLabels;
    this.films = films;
    this.optimizer = optimizer;
    this.gamma = prepared.gamma;
    this.alpha = prepared.alpha;
    this.start = prepared.bias;
    this.weights = new Float64Array(size); // (dimensions, labels), then the bias
    this.weights.set(prepared.bias, biasAt);
    this.gradient = new Float64Array(size);
    this.mean = new Float64Array(size);
    this.square = new Float64Array(size);
    this.steps = 0;
    this.epochs = 0;
  }

  // Write the logits of one film, (labels,), into z.
  Head.prototype.logits = function (film, z) {
    var films = this.films, w = this.weights, nLabels = films.nLabels, at = films.dimensions * nLabels, d, label, value, row;
    for (label = 0; label < nLabels; label += 1) {
      z[label] = w[at + label];
    }
    for (d = 0; d < films.dimensions; d += 1) {
      value = films.x[film * films.dimensions + d];
      row = d * nLabels;
      for (label = 0; label < nLabels; label += 1) {
        z[label] += value * w[row + label];
      }
    }
  };

  Head.prototype.step = function (first, end) {
    var films = this.films, g = this.gradient, nLabels = films.nLabels, biasAt = films.dimensions * nLabels;
    var z = new Float64Array(nLabels), share = 1 / ((end - first) * nLabels), film, label, d, value, row;
    g.fill(0);
    for (film = first; film < end; film += 1) {
      this.logits(film, z);
      for (label = 0; label < nLabels; label += 1) {
        z[label] = share * losses.focalGradient(z[label], films.y[film * nLabels + label], this.gamma[label], this.alpha[label]);
        g[biasAt + label] += z[label];
      }
      for (d = 0; d < films.dimensions; d += 1) {
        value = films.x[film * films.dimensions + d];
        row = d * nLabels;
        for (label = 0; label < nLabels; label += 1) {
          g[row + label] += value * z[label];
        }
      }
    }
    this.update();
  };

  // AdamW (Loshchilov & Hutter 2019), in the order of torch's.
  Head.prototype.update = function () {
    var o = this.optimizer, w = this.weights, g = this.gradient, m = this.mean, v = this.square, i;
    this.steps += 1;
    var rate = o.learningRate / (1 - Math.pow(o.beta1, this.steps)), root2 = Math.sqrt(1 - Math.pow(o.beta2, this.steps));
    for (i = 0; i < w.length; i += 1) {
      m[i] += (1 - o.beta1) * (g[i] - m[i]);
      v[i] = o.beta2 * v[i] + (1 - o.beta2) * g[i] * g[i];
      w[i] = w[i] * (1 - o.learningRate * o.weightDecay) - (rate * m[i]) / (Math.sqrt(v[i]) / root2 + o.epsilon);
    }
  };

  Head.prototype.epoch = function () {
    var first;
    for (first = 0; first < this.films.nTrain; first += this.optimizer.batchSize) {
      this.step(first, Math.min(first + this.optimizer.batchSize, this.films.nTrain));
    }
    this.epochs += 1;
  };

  // The validation logits, (labels, validation films).
  Head.prototype.validate = function () {
    var films = this.films, n = films.n - films.nTrain, z = new Float64Array(films.nLabels), all = [], film, label;
    for (label = 0; label < films.nLabels; label += 1) {
      all.push(new Float64Array(n));
    }
    for (film = 0; film < n; film += 1) {
      this.logits(films.nTrain + film, z);
      for (label = 0; label < films.nLabels; label += 1) {
        all[label][film] = z[label];
      }
    }
    return all;
  };

  // How many of descending values to keep so that the number is nearest to the wanted one; equal values stay together.
  function nearestCut(ranked, wanted) {
    var below = Math.min(wanted, ranked.length), above = below;
    function possible(k) { return k === 0 || k === ranked.length || ranked[k - 1] > ranked[k]; }
    while (!possible(below)) { below -= 1; }
    while (!possible(above)) { above += 1; }
    return wanted - below <= above - wanted ? below : above;
  }

  // Round halves to the even number, as numpy does.
  function roundHalfEven(value) {
    var low = Math.floor(value), rest = value - low;
    return rest > 0.5 || (rest === 0.5 && low % 2) ? low + 1 : low;
  }

  // Per label, how many validation films it is predicted for, how many of these are right, and the score it is predicted from.
  // rule: "at_0.5", or "tuned_proportional": each label as often as in training.
  function decisions(films, logits, rule) {
    var n = films.n - films.nTrain;
    return logits.map(function (z, label) {
      var limit = 0, predicted = 0, right = 0, positives = 0, film, kept, ranked;
      if (rule === "tuned_proportional") {
        ranked = Float64Array.from(z).sort().reverse();
        kept = nearestCut(ranked, roundHalfEven((films.counts[label] / films.nTrain) * n));
        limit = kept ? ranked[kept - 1] : Infinity;
      }
      for (film = 0; film < n; film += 1) {
        var positive = films.y[(films.nTrain + film) * films.nLabels + label];
        positives += positive;
        if (z[film] >= limit) {
          predicted += 1;
          right += positive;
        }
      }
      return { predicted: predicted, right: right, positives: positives, threshold: losses.sigmoid(limit) };
    });
  }

  // What the page shows of an epoch: recall per third of the labels, labels that moved, micro recall and precision.
  function summarize(head, logits, rule, moved) {
    var films = head.films, all = decisions(films, logits, rule), recall = {}, number = {};
    var sums = { predicted: 0, right: 0, positives: 0 }, nMoved = 0;
    all.forEach(function (one, label) {
      var group = films.groups[label];
      recall[group] = (recall[group] || 0) + (one.positives ? one.right / one.positives : 0);
      number[group] = (number[group] || 0) + 1;
      Object.keys(sums).forEach(function (key) { sums[key] += one[key]; });
      nMoved += logits[label].some(function (z) { return Math.abs(z - head.start[label]) > moved; }) ? 1 : 0;
    });
    Object.keys(recall).forEach(function (group) { recall[group] /= number[group]; });
    return {
      recall: recall, moved: nMoved, silent: all.filter(function (one) { return !one.predicted; }).length,
      microRecall: sums.right / sums.positives, microPrecision: sums.predicted ? sums.right / sums.predicted : 0
    };
  }

  Explorables.training = { readFilms: readFilms, prepare: prepare, Head: Head, decisions: decisions, summarize: summarize };
}(typeof window === "undefined" ? globalThis : window));
