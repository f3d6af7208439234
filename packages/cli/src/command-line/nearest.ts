/** Most letters that a misspelt name may be away from the right one. */
const FARTHEST = 2;

/** The name that is meant by a misspelt one, if one is near. */
export function nearest(names: readonly string[], misspelt: string): string | undefined {
  const [first] = names
    .map((name) => ({ name, distance: editDistance(name, misspelt) }))
    .filter(({ distance }) => distance <= FARTHEST)
    .sort((a, b) => a.distance - b.distance);
  return first?.name;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
