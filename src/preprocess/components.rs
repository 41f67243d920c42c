//! Connected parts of a mask, eight neighbours, found by rows of runs.

/// One connected part: its number of pixels and its half-open box `[column0, row0, column1, row1]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Component {
    pub pixels: usize,
    pub bounds: [usize; 4],
}

impl Component {
    fn joined(self, other: Self) -> Self {
        Self { pixels: self.pixels + other.pixels, bounds: union(self.bounds, other.bounds) }
    }
}

/// The smallest box that holds both.
pub fn union(a: [usize; 4], b: [usize; 4]) -> [usize; 4] {
    [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]
}

/// A horizontal stretch of set pixels, columns half-open.
struct Run {
    start: usize,
    end: usize,
}

/// All eight-connected parts of the pixels for which `is_set(offset)` holds, in a row-major picture that is `columns`
/// wide and `rows` high. The order is that of their first pixels.
pub fn components(columns: usize, rows: usize, is_set: impl Fn(usize) -> bool) -> Vec<Component> {
    let mut runs: Vec<Run> = Vec::new();
    let mut parts: Vec<Component> = Vec::new();
    let mut parents: Vec<usize> = Vec::new();
    let mut above = 0..0;
    for row in 0..rows {
        let first = runs.len();
        let mut column = 0;
        let mut candidate = above.start;
        while column < columns {
            if !is_set(row * columns + column) {
                column += 1;
                continue;
            }
            let start = column;
            while column < columns && is_set(row * columns + column) {
                column += 1;
            }
            let this = runs.len();
            runs.push(Run { start, end: column });
            parts.push(Component { pixels: column - start, bounds: [start, row, column, row + 1] });
            parents.push(this);
            // Runs of the row above that end left of this one cannot touch any later run either.
            while candidate < above.end && runs[candidate].end < start {
                candidate += 1;
            }
            // Eight neighbours: a run that begins or ends diagonally next to this one touches it.
            for other in (candidate..above.end).take_while(|&other| runs[other].start <= column) {
                join(&mut parents, other, this);
            }
        }
        above = first..runs.len();
    }
    for run in 0..runs.len() {
        let root = root_of(&mut parents, run);
        if root != run {
            parts[root] = parts[root].joined(parts[run]);
        }
    }
    (0..runs.len()).filter(|&run| parents[run] == run).map(|run| parts[run]).collect()
}

fn root_of(parents: &mut [usize], mut of: usize) -> usize {
    while parents[of] != of {
        parents[of] = parents[parents[of]];
        of = parents[of];
    }
    of
}

/// The smaller index stays root, so that parts keep the order of their first pixels.
fn join(parents: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root_of(parents, a), root_of(parents, b));
    parents[a.max(b)] = a.min(b);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of_text(text: &[&str]) -> Vec<Component> {
        let columns = text[0].len();
        let set: Vec<bool> = text.iter().flat_map(|row| row.bytes().map(|b| b == b'#')).collect();
        components(columns, text.len(), |offset| set[offset])
    }

    #[test]
    fn diagonals_connect_and_a_late_bridge_joins() {
        let parts = of_text(&["#..#..#", ".##...#", "......#", "##....."]);
        let expected = [(4, [0, 0, 4, 2]), (3, [6, 0, 7, 3]), (2, [0, 3, 2, 4])];
        assert_eq!(parts, expected.map(|(pixels, bounds)| Component { pixels, bounds }));
        assert_eq!(of_text(&["#.#.#", "#.#.#", "#####"]), [Component { pixels: 11, bounds: [0, 0, 5, 3] }]);
        assert_eq!(of_text(&["...."]), []);
        assert_eq!(components(0, 0, |_| true), []);
    }

    /// The plain way: fill from each pixel that has not been reached yet.
    fn by_filling(columns: usize, rows: usize, set: &[bool]) -> Vec<Component> {
        let mut seen = vec![false; set.len()];
        let mut parts = Vec::new();
        for start in 0..set.len() {
            if !set[start] || seen[start] {
                continue;
            }
            seen[start] = true;
            let mut stack = vec![start];
            let mut part = Component { pixels: 0, bounds: [usize::MAX, usize::MAX, 0, 0] };
            while let Some(offset) = stack.pop() {
                let (c, r) = (offset % columns, offset / columns);
                part = part.joined(Component { pixels: 1, bounds: [c, r, c + 1, r + 1] });
                for nr in r.saturating_sub(1)..(r + 2).min(rows) {
                    for nc in c.saturating_sub(1)..(c + 2).min(columns) {
                        let next = nr * columns + nc;
                        if set[next] && !seen[next] {
                            seen[next] = true;
                            stack.push(next);
                        }
                    }
                }
            }
            parts.push(part);
        }
        parts
    }

    proptest! {
        #[test]
        fn runs_give_the_same_parts_as_filling(
            columns in 1_usize..14,
            set in proptest::collection::vec(any::<bool>(), 1..150),
        ) {
            let rows = set.len() / columns;
            let set = &set[..rows * columns];
            prop_assert_eq!(components(columns, rows, |offset| set[offset]), by_filling(columns, rows, set));
        }
    }
}
