"""The file of a study that is small enough for a test: two settings, two seeds, on the embedded corpus."""

STUDY = """
question: does it run?
method: probe
config: {encoder: tiny, max_length: 16, epochs: 3, patience: 2, batch_size: 64}
tune: {learning_rate: [0.001, 0.01]}
corpora: [{name: toy, top: 6, n_documents: 200}]
seeds: [0, 1]
settings:
  - {name: bce, loss: bce}
  - {name: afl-shuffled, loss: afl, params: {assignment: shuffled}}
"""
