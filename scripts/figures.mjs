// Figures of several rounds, as measurements print them.

/** The one in the middle. */
export function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

/** What rounds measured, each an object of figures, as one object of their medians. */
export function medians(rounds) {
  return Object.fromEntries(Object.keys(rounds[0]).map((name) => [name, median(rounds.map((each) => each[name]))]));
}

/** A line for each kind of what was measured. */
export function printLines(summary) {
  for (const [kind, figures] of Object.entries(summary)) {
    const cells = Object.entries(figures).map(([name, value]) => `${name} ${value.toFixed(value < 10 ? 2 : 0)}`);
    console.log(`${kind.padEnd(8)} ${cells.join("  ")}`);
  }
}
