// The arithmetic of the losses: focal loss and its gradient, gamma and alpha per label, the start of the bias.
//
// It does what the package does (afl_helpers/losses/focal.py, gamma.py, evaluation/posterior.py, training/initial_bias.py),
// and a test compares the two. A classic script: a page that is opened from disk cannot load modules.
(function (root) {
  "use strict";
  var Explorables = (root.Explorables = root.Explorables || {});

  function logSigmoid(z) {
    return z < 0 ? z - Math.log1p(Math.exp(z)) : -Math.log1p(Math.exp(-z));
  }

  function sigmoid(z) {
    return Math.exp(logSigmoid(z));
  }

  function logit(p) {
    return Math.log(p) - Math.log1p(-p);
  }

  // -alpha (1 - p_t)^gamma log p_t, where p_t is the score of what is true. Every factor is the exponential of a logarithm,
  // so that nothing overflows.
  function focalLoss(z, target, gamma, alpha) {
    var signed = target ? z : -z;
    return -alpha * Math.exp(gamma * logSigmoid(-signed)) * logSigmoid(signed);
  }

  // The size of the gradient that focal loss gives the logit of a positive: q^gamma (q - gamma p log p), q = 1 - p.
  function positivePull(gamma, z) {
    var t = Math.exp(-Math.abs(z)), more = Math.log1p(t), likely = 1 / (1 + t), unlikely = t / (1 + t);
    if (z < 0) {
      return Math.exp(-gamma * more) * (likely - gamma * unlikely * (z - more));
    }
    return Math.exp(-gamma * (z + more)) * (unlikely + gamma * likely * more);
  }

  // The derivative of the focal loss by the logit. A negative at z is a positive at -z that pulls the other way.
  function focalGradient(z, target, gamma, alpha) {
    return target ? -alpha * positivePull(gamma, z) : alpha * positivePull(gamma, -z);
  }

  // The log odds of the probability for which z is the best logit (Charoenphakdee et al., CVPR 2021).
  function posteriorLogit(z, gamma) {
    var size = Math.abs(z), u = Math.exp(-size);
    if (u === 0) {
      return (gamma + 1) * z;
    }
    var b = Math.log1p(u) / u;
    var change = (gamma * (size * u + b * Math.expm1(-2 * size))) / (1 + gamma * b);
    var stretched = (gamma + 1) * size + Math.log1p(change);
    return z < 0 ? -stretched : stretched;
  }

  // The best logit if all documents get the same one: the inverse of the function above, found by halving.
  function bestConstantLogit(rate, gamma) {
    var wanted = logit(rate), low = -Math.abs(wanted), high = Math.abs(wanted), middle, i;
    if (gamma === 0) {
      return wanted;
    }
    for (i = 0; i < 200 && low < high; i += 1) {
      middle = low + (high - low) / 2;
      if (middle === low || middle === high) {
        break;
      }
      if (posteriorLogit(middle, gamma) < wanted) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return high;
  }

  function sum(values) {
    var total = 0, i;
    for (i = 0; i < values.length; i += 1) {
      total += values[i];
    }
    return total;
  }

  function largest(values) {
    return Math.max.apply(null, values);
  }

  function median(values) {
    var sorted = Array.prototype.slice.call(values).sort(function (a, b) { return a - b; });
    var half = Math.floor(sorted.length / 2);
    return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  }

  // Name of a reading of Eq. 2 -> what multiplies the base gamma, per label.
  var READINGS = {
    documents: function (n, nDocuments) { return n.map(function (one) { return nDocuments / one; }); },
    labels: function (n) { var all = sum(n); return n.map(function (one) { return all / one; }); },
    max: function (n) { var most = largest(n); return n.map(function (one) { return most / one; }); },
    mean: function (n) { var mean = sum(n) / n.length; return n.map(function (one) { return mean / one; }); },
    median: function (n) { var middle = median(n); return n.map(function (one) { return middle / one; }); },
    sqrt: function (n) { var most = largest(n); return n.map(function (one) { return Math.sqrt(most / one); }); },
    log10: function (n) { var most = largest(n); return n.map(function (one) { return 1 + Math.log10(most / one); }); },
    information: function (n, nDocuments) {
      var nats = n.map(function (one) { return Math.log(Math.max(nDocuments / one, 1)); });
      var mean = sum(nats) / nats.length;
      return nats.map(function (one) { return mean ? one / mean : 1; });
    }
  };

  function atLeastOne(counts) {
    return Array.prototype.map.call(counts, function (count) { return Math.max(count, 1); });
  }

  // One gamma per label (Eq. 2). bounds: [lowest, highest], or null for none.
  function classGamma(counts, nDocuments, baseGamma, reading, bounds) {
    return READINGS[reading](atLeastOne(counts), nDocuments).map(function (inverse) {
      var gamma = baseGamma * inverse;
      return bounds ? Math.min(Math.max(gamma, bounds[0]), bounds[1]) : gamma;
    });
  }

  // One weight per label, the largest being 1. beta: that of the effective number of documents (Cui et al., CVPR 2019).
  function classAlpha(counts, kind, beta) {
    var weights = atLeastOne(counts).map(function (count) {
      if (kind === "inverse_frequency") {
        return 1 / count;
      }
      return kind === "effective_number" ? (1 - beta) / -Math.expm1(count * Math.log(beta)) : 1;
    });
    var most = largest(weights);
    return weights.map(function (weight) { return weight / most; });
  }

  // The logit that the bias of a label starts at: "zero", "prior" (the log odds) or "loss" (the loss's best constant).
  function startLogit(start, count, nDocuments, gamma) {
    var rate = (count + 0.5) / (nDocuments + 1);
    if (start === "zero") {
      return 0;
    }
    return start === "loss" ? bestConstantLogit(rate, gamma) : logit(rate);
  }

  Explorables.losses = {
    logSigmoid: logSigmoid, sigmoid: sigmoid, logit: logit, focalLoss: focalLoss, focalGradient: focalGradient,
    positivePull: positivePull, posteriorLogit: posteriorLogit, bestConstantLogit: bestConstantLogit,
    classGamma: classGamma, classAlpha: classAlpha, startLogit: startLogit
  };
}(typeof window === "undefined" ? globalThis : window));
