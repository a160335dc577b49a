// Written by tools/make_explorables.py.
(function (root) { root.Explorables = root.Explorables || {}; root.Explorables.data = root.Explorables.data || {};
root.Explorables.data.tug = {"positives":1,"negatives":999,"gamma":{"min":0,"max":10,"step":0.1,"value":0},"score":{"min":0.005,"max":0.6,"step":0.005,"value":0.05,"ticks":[0,0.1,0.2,0.3,0.4,0.5,0.6]},"pulls":{"domain":[0.001,1000],"ticks":[0.001,0.01,0.1,1,10,100,1000]},"posterior":{"domain":[1e-05,1],"ticks":[1e-05,0.0001,0.001,0.01,0.1,1]},"goals":{"score":0.05,"balance":0.25,"tasks":["Leave the score at 0.05. Find the smallest gamma at which the one positive wins.","Bring the balance point to 0.25 or above.","Can the balance point pass one half?"]}};
}(typeof window === "undefined" ? globalThis : window));
