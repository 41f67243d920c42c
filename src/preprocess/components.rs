//! Connected parts of a mask, found by rows of runs.

use memchr::memchr;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    pub row: usize,
    pub start: usize,
    pub end: usize,
}

/// Which pixels touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbours {
    /// Those that share an edge.
    Four,
    /// Diagonal ones too.
    Eight,
}

/// The connected parts of a mask, in the order of their first pixels, and what they are made of.
pub struct Parts {
    pub parts: Vec<Component>,
    runs: Vec<Run>,
    /// The first run of each run's part.
    roots: Vec<usize>,
    /// The first run of each part.
    firsts: Vec<usize>,
}

impl Parts {
    /// Of the pixels of a mask that are `set`, 0 or 1 as all its pixels are, in a row-major picture that is `columns` wide.
    pub fn of(columns: usize, mask: &[u8], set: u8, neighbours: Neighbours) -> Self {
        // So far may a run begin or end beside another and still touch it.
        let aside = usize::from(neighbours == Neighbours::Eight);
        let mut runs: Vec<Run> = Vec::new();
        let mut parts: Vec<Component> = Vec::new();
        let mut parents: Vec<usize> = Vec::new();
        let mut above = 0..0;
        for (row, line) in mask.chunks_exact(columns.max(1)).enumerate() {
            let first = runs.len();
            let mut column = 0;
            let mut candidate = above.start;
            // Runs are few and long, so their ends are looked for many pixels at a time.
            while let Some(start) = line.get(column..).and_then(|rest| memchr(set, rest)).map(|next| column + next) {
                column = memchr(set ^ 1, &line[start..]).map_or(columns, |length| start + length);
                let this = runs.len();
                runs.push(Run { row, start, end: column });
                parts.push(Component { pixels: column - start, bounds: [start, row, column, row + 1] });
                parents.push(this);
                // Runs of the row above that end left of this one cannot touch any later run either.
                while candidate < above.end && runs[candidate].end + aside <= start {
                    candidate += 1;
                }
                for other in (candidate..above.end).take_while(|&other| runs[other].start < column + aside) {
                    join(&mut parents, other, this);
                }
            }
            above = first..runs.len();
        }
        for run in 0..runs.len() {
            let root = root_of(&mut parents, run);
            // All that lie on the way are known then.
            parents[run] = root;
            if root != run {
                parts[root] = parts[root].joined(parts[run]);
            }
        }
        let firsts: Vec<usize> = (0..runs.len()).filter(|&run| parents[run] == run).collect();
        Self { parts: firsts.iter().map(|&run| parts[run]).collect(), runs, roots: parents, firsts }
    }

    /// What a part is made of, row by row.
    pub fn runs(&self, part: usize) -> impl Iterator<Item = Run> + '_ {
        let root = self.firsts.get(part).copied();
        let all = self.runs.iter().zip(&self.roots).skip(root.unwrap_or(0));
        all.filter(move |(_, of)| root == Some(**of)).map(|(run, _)| *run)
    }
}

/// All eight-connected parts of the pixels of a mask that are 1.
pub fn components(columns: usize, mask: &[u8]) -> Vec<Component> {
    Parts::of(columns, mask, 1, Neighbours::Eight).parts
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
        let mask: Vec<u8> = text.iter().flat_map(|row| row.bytes().map(|b| u8::from(b == b'#'))).collect();
        components(columns, &mask)
    }

    #[test]
    fn diagonals_connect_and_a_late_bridge_joins() {
        let parts = of_text(&["#..#..#", ".##...#", "......#", "##....."]);
        let expected = [(4, [0, 0, 4, 2]), (3, [6, 0, 7, 3]), (2, [0, 3, 2, 4])];
        assert_eq!(parts, expected.map(|(pixels, bounds)| Component { pixels, bounds }));
        assert_eq!(of_text(&["#.#.#", "#.#.#", "#####"]), [Component { pixels: 11, bounds: [0, 0, 5, 3] }]);
        assert_eq!(of_text(&["...."]), []);
        assert_eq!(components(0, &[]), []);
    }

    /// The plain way: fill from each pixel that has not been reached yet. With the offsets of each part.
    fn by_filling(columns: usize, rows: usize, four: bool, set: &[bool]) -> Vec<(Component, Vec<usize>)> {
        let mut seen = vec![false; set.len()];
        let mut parts = Vec::new();
        for start in 0..set.len() {
            if !set[start] || seen[start] {
                continue;
            }
            seen[start] = true;
            let (mut stack, mut offsets) = (vec![start], Vec::new());
            let mut part = Component { pixels: 0, bounds: [usize::MAX, usize::MAX, 0, 0] };
            while let Some(offset) = stack.pop() {
                offsets.push(offset);
                let (c, r) = (offset % columns, offset / columns);
                part = part.joined(Component { pixels: 1, bounds: [c, r, c + 1, r + 1] });
                for nr in r.saturating_sub(1)..(r + 2).min(rows) {
                    for nc in c.saturating_sub(1)..(c + 2).min(columns) {
                        let next = nr * columns + nc;
                        if set[next] && !seen[next] && !(four && nr != r && nc != c) {
                            seen[next] = true;
                            stack.push(next);
                        }
                    }
                }
            }
            offsets.sort_unstable();
            parts.push((part, offsets));
        }
        parts
    }

    proptest! {
        #[test]
        fn runs_give_the_same_parts_as_filling(
            columns in 1_usize..14,
            four in any::<bool>(),
            wanted in any::<bool>(),
            set in proptest::collection::vec(any::<bool>(), 1..150),
        ) {
            let rows = set.len() / columns;
            let set = &set[..rows * columns];
            let neighbours = if four { Neighbours::Four } else { Neighbours::Eight };
            let mask: Vec<u8> = set.iter().map(|set| u8::from(*set == wanted)).collect();
            let found = Parts::of(columns, &mask, u8::from(wanted), neighbours);
            let offsets = |part| found.runs(part).flat_map(|r| (r.start..r.end).map(move |c| r.row * columns + c));
            let found: Vec<(Component, Vec<usize>)> =
                found.parts.iter().enumerate().map(|(part, of)| (*of, offsets(part).collect())).collect();
            prop_assert_eq!(found, by_filling(columns, rows, four, set));
        }
    }
}
