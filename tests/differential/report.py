"""Counts of verdicts, and in how many graphs each operator and type was compiled."""

from collections import Counter, defaultdict

from judge import BAD


class Report:
    def __init__(self, options):
        self.options = options
        self.graphs, self.inputs, self.discarded, self.refusals = Counter(), Counter(), Counter(), Counter()
        self.histogram = Counter()
        self.classes = defaultdict(list)
        self.proved, self.seconds = 0, 0.0

    def add(self, result, seconds):
        self.graphs[result.verdict] += 1
        self.inputs.update(result.inputs)
        self.proved += result.proved
        self.seconds += seconds
        if result.verdict == "discarded":
            self.discarded[result.reason] += 1
        if result.verdict in ("ran", *BAD):
            self.histogram.update(result.operators.keys())
        if result.verdict in (*BAD, "broken"):
            self.classes[result.verdict, result.signature].append(result.seed)
        if result.verdict != "ran" and not self.options.quiet:
            reason = " ".join(result.reason.split())
            print(f"{result.seed:6} {result.verdict:10} {' '.join(result.signature):30} {reason[:300]}", flush=True)

    def finish(self):
        """Prints all of it; the exit code."""
        print("\noperator, type: graphs that are not refused")
        for (operator, dtype), count in sorted(self.histogram.items()):
            print(f"  {operator:32} {dtype:10} {count:5}")
        if self.classes:
            print("\nfaults, by the operators of the smallest model that has them")
            for (verdict, signature), seeds in sorted(self.classes.items(), key=lambda pair: -len(pair[1])):
                print(f"  {len(seeds):4} {verdict:10} {' '.join(signature):50} seeds {' '.join(map(str, seeds[:6]))}")
        total = sum(self.graphs.values())
        print(f"\n{total} graphs from seed {self.options.seed}: " + ", ".join(f"{n} {verdict}" for verdict, n in self.graphs.most_common()))
        print(f"  discarded: {dict(self.discarded)}; proved and verified: {self.proved}")
        for kind in sorted({kind for kind, _ in self.inputs}):
            print(f"  inputs {kind:5} " + ", ".join(f"{n} {v}" for (k, v), n in self.inputs.most_common() if k == kind))
        print(f"  {self.seconds / max(total, 1):.2f} s a graph")
        return int(any(self.graphs[verdict] for verdict in (*BAD, "broken")))
