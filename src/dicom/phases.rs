//! Several stacks under one SeriesInstanceUID: phases over time, or reconstructions of one acquisition.
//!
//! Where positions are taken more than once, the attributes below are asked in the order of their trust which of them
//! tells whole stacks apart. Where none does, the pictures stay together and are told to be duplicates.

use std::collections::HashMap;

use super::group::{Found, SAME_POSITION_MM};
use super::header::Header;
use crate::study::Part;
use crate::study::describe::short;
use crate::volume::Window;

/// Pictures that make one stack, and which of several it is.
pub(super) struct Stack {
    pub members: Vec<Found>,
    pub part: Option<Part>,
}

/// What an attribute says of a picture.
struct Said {
    /// Where the part stands among the others; where it is no number the text decides.
    order: f64,
    /// Equal for pictures of one part.
    text: String,
    /// The text is for people. A clock's is not: it is told as what has passed since the first part, see [`Split::parts`].
    is_told: bool,
}

impl Said {
    fn new(order: f64, text: String) -> Self {
        Self { order, text, is_told: true }
    }
}

/// An attribute that can tell parts apart.
struct Tell {
    /// The parts are phases over time, else reconstructions and the like.
    is_phase: bool,
    /// Differs from slice to slice within a phase too, but grows from one phase to the next at each position.
    grows: bool,
    /// Told parts apart before phases were known: does so also where they do not cover the same positions.
    is_old: bool,
    read: fn(&Header) -> Said,
}

const fn tell(is_phase: bool, grows: bool, is_old: bool, read: fn(&Header) -> Said) -> Tell {
    Tell { is_phase, grows, is_old, read }
}

/// In the order of trust. What makes two reconstructions of one acquisition stands before the times, which also differ
/// between them.
const TELLS: [Tell; 14] = [
    tell(true, true, false, |h| counted("temporal position", h.moment.temporal_index)),
    tell(true, true, false, |h| counted("temporal position", h.moment.temporal_identifier)),
    tell(false, false, true, |h| named("kernel", &h.technique.kernel)),
    tell(false, false, true, |h| named("image type", &h.image_type.replace('\\', " "))),
    tell(true, true, true, |h| counted("acquisition", h.acquisition_number)),
    tell(true, true, false, |h| timed(h.moment.acquired_s)),
    tell(true, true, false, |h| timed(h.moment.content_s)),
    tell(true, true, false, |h| measured(h.moment.trigger_ms, "trigger ", " ms")),
    tell(true, true, false, |h| measured(h.moment.cardiac_percent, "", " % of the heart cycle")),
    tell(true, false, false, |h| named("dimension", &h.moment.dimensions)),
    tell(true, false, false, |h| named("contrast", &h.technique.contrast_agent)),
    tell(false, false, false, |h| measured(h.technique.kvp, "", " kV")),
    tell(false, false, false, |h| named("window", &first_window(h))),
    tell(false, false, true, |h| measured(h.technique.slice_thickness_mm, "", " mm thick")),
];

/// "W 400 L 40".
fn first_window(header: &Header) -> String {
    let words = |window: &Window| format!("W {} L {}", short(window.width), short(window.center));
    header.windows.first().map_or_else(String::new, |(window, _)| words(window))
}

fn counted(what: &str, number: Option<i64>) -> Said {
    match number {
        Some(n) => Said::new(n as f64, format!("{what} {n}")),
        None => Said::new(f64::NEG_INFINITY, format!("no {what}")),
    }
}

fn named(what: &str, text: &str) -> Said {
    let text = text.trim();
    Said::new(0.0, if text.is_empty() { format!("no {what}") } else { format!("{what} {text}") })
}

fn measured(value: Option<f64>, before: &str, behind: &str) -> Said {
    match value {
        Some(v) => Said::new(v, format!("{before}{}{behind}", short(v))),
        None => Said::new(f64::NEG_INFINITY, format!("no{behind}")),
    }
}

fn timed(seconds: Option<f64>) -> Said {
    let text = seconds.map_or_else(|| "no time".to_owned(), |s| s.to_bits().to_string());
    Said { order: seconds.unwrap_or(f64::NEG_INFINITY), text, is_told: false }
}

/// Splits pictures of one geometry into stacks in which no position repeats, where an attribute says how.
pub(super) fn split(members: Vec<Found>) -> Vec<Stack> {
    let places = Places::of(&members);
    if !places.repeat(&(0..members.len()).collect::<Vec<_>>()) {
        return vec![Stack { members, part: None }];
    }
    let columns: Vec<Column> = TELLS.iter().map(|tell| Column::of(tell, &members)).collect();
    match whole(&columns, &places).or_else(|| grown(&columns, &places)).or_else(|| older(&columns, &places)) {
        Some(split) => split.stacks(members),
        None => vec![Stack { members, part: None }],
    }
}

/// One attribute of all pictures.
struct Column {
    tell: &'static Tell,
    said: Vec<Said>,
    /// Number of the value of each picture, and how many there are.
    value: Vec<usize>,
    values: usize,
}

impl Column {
    fn of(tell: &'static Tell, members: &[Found]) -> Self {
        let said: Vec<Said> = members.iter().map(|one| (tell.read)(&one.header)).collect();
        let mut known: HashMap<&str, usize> = HashMap::new();
        let mut value = Vec::with_capacity(said.len());
        for one in &said {
            let next = known.len();
            value.push(*known.entry(one.text.as_str()).or_insert(next));
        }
        let values = known.len();
        Self { tell, said, value, values }
    }
    /// Splits at all, and not into single pictures.
    fn is_of_use(&self) -> bool {
        self.values > 1 && self.values <= self.value.len() / 2
    }
}

/// Which position each picture has, in the order along the normal.
struct Places {
    of: Vec<usize>,
    count: usize,
}

impl Places {
    fn of(members: &[Found]) -> Self {
        let poses = members.iter().map(|one| one.header.pose.get());
        let normal = poses.clone().flatten().next().map(|pose| pose.normal());
        // Without geometry no position repeats.
        let along = |(index, pose): (usize, Option<crate::geometry::SlicePose>)| match (pose, normal) {
            (Some(pose), Some(normal)) => (pose.origin.0.dot(normal), index),
            _ => (1e9 + index as f64, index),
        };
        let mut sorted: Vec<(f64, usize)> = poses.enumerate().map(along).collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (mut of, mut place, mut before) = (vec![0; members.len()], 0, None);
        for (at, index) in sorted {
            if before.is_some_and(|before: f64| at - before >= SAME_POSITION_MM) {
                place += 1;
            }
            before = Some(at);
            if let Some(slot) = of.get_mut(index) {
                *slot = place;
            }
        }
        let count = if of.is_empty() { 0 } else { place + 1 };
        Self { of, count }
    }
    fn at(&self, index: usize) -> usize {
        self.of.get(index).copied().unwrap_or(0)
    }
    fn repeat(&self, pictures: &[usize]) -> bool {
        let mut seen = vec![false; self.count];
        pictures.iter().any(|index| seen.get_mut(self.at(*index)).is_some_and(|seen| std::mem::replace(seen, true)))
    }
    /// Has nearly all positions, each once.
    fn are_covered_by(&self, pictures: &[usize]) -> bool {
        let missing = self.count.saturating_sub(pictures.len());
        pictures.len() > 1 && missing <= (self.count / 10).max(1) && !self.repeat(pictures)
    }
}

/// Parts by the numbers of their pictures, in order, with what tells them apart.
struct Split<'c> {
    parts: Vec<Vec<usize>>,
    by: Vec<&'c Column>,
}

/// The pictures by the values of some attributes, in the order of the values.
fn by_value(columns: &[&Column]) -> Vec<Vec<usize>> {
    let mut parts: HashMap<Vec<usize>, Vec<usize>> = HashMap::new();
    let pictures = columns.first().map_or(0, |column| column.value.len());
    for index in 0..pictures {
        let key = columns.iter().filter_map(|column| column.value.get(index).copied()).collect();
        parts.entry(key).or_default().push(index);
    }
    let mut parts: Vec<Vec<usize>> = parts.into_values().collect();
    let said = |part: &[usize], column: &Column| {
        let said = part.first().and_then(|index| column.said.get(*index));
        said.map_or((f64::NEG_INFINITY, String::new()), |said| (said.order, said.text.clone()))
    };
    let order = |a: &[usize], b: &[usize], column: &Column| {
        let (a, b) = (said(a, column), said(b, column));
        a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1))
    };
    parts.sort_by(|a, b| {
        columns.iter().fold(std::cmp::Ordering::Equal, |so_far, column| so_far.then_with(|| order(a, b, column)))
    });
    parts
}

/// By one attribute or by two, each part over nearly all positions.
fn whole<'c>(columns: &'c [Column], places: &Places) -> Option<Split<'c>> {
    let of_use: Vec<&Column> = columns.iter().filter(|column| column.is_of_use()).collect();
    let alone = of_use.iter().map(|column| vec![*column]);
    let pairs = of_use.iter().enumerate().flat_map(|(i, a)| of_use.iter().skip(i + 1).map(|b| vec![*a, *b]));
    let split = |by: Vec<&'c Column>| {
        let parts = by_value(&by);
        let fits = parts.len() > 1 && parts.iter().all(|part| places.are_covered_by(part));
        fits.then_some(Split { parts, by })
    };
    alone.chain(pairs).find_map(split)
}

/// By an attribute that grows at each position, where each has been taken equally often: the first pictures of all
/// positions, the second and so on.
fn grown<'c>(columns: &'c [Column], places: &Places) -> Option<Split<'c>> {
    let mut at: Vec<Vec<usize>> = vec![Vec::new(); places.count];
    for (index, place) in places.of.iter().enumerate() {
        at.get_mut(*place)?.push(index);
    }
    let times = at.first().map(Vec::len).filter(|times| *times > 1)?;
    if places.count < 2 || at.iter().any(|pictures| pictures.len() != times) {
        return None;
    }
    columns.iter().filter(|column| column.tell.grows && column.values > 1).find_map(|column| {
        let order = |index: usize| column.said.get(index).map_or(f64::NEG_INFINITY, |said| said.order);
        let mut parts = vec![Vec::new(); times];
        for pictures in &at {
            let mut pictures = pictures.clone();
            pictures.sort_by(|a, b| order(*a).total_cmp(&order(*b)));
            if pictures.windows(2).any(|pair| matches!(pair, [a, b] if order(*a) >= order(*b))) {
                return None;
            }
            for (part, index) in parts.iter_mut().zip(pictures) {
                part.push(index);
            }
        }
        Some(Split { parts, by: vec![column] })
    })
}

/// As before phases were known: by one attribute, whatever positions the parts cover; the largest first.
fn older<'c>(columns: &'c [Column], places: &Places) -> Option<Split<'c>> {
    columns.iter().filter(|column| column.tell.is_old).find_map(|column| {
        let mut parts = by_value(&[column]);
        let fits = parts.len() > 1 && parts.iter().all(|part| part.len() > 1 && !places.repeat(part));
        parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
        fits.then(|| Split { parts, by: vec![column] })
    })
}

impl Split<'_> {
    fn stacks(self, members: Vec<Found>) -> Vec<Stack> {
        let names = self.parts(&members);
        let mut members: Vec<Option<Found>> = members.into_iter().map(Some).collect();
        let mut take = |index: &usize| members.get_mut(*index).and_then(Option::take);
        let parts = self.parts.iter().zip(names);
        parts
            .map(|(part, name)| Stack { members: part.iter().filter_map(&mut take).collect(), part: Some(name) })
            .collect()
    }

    /// Which part each is, and what differs in words. Times are given as what has passed since the first part, which says
    /// more than the clock and nothing of the day.
    fn parts(&self, members: &[Found]) -> Vec<Part> {
        let is_phase = self.by.iter().all(|column| column.tell.is_phase);
        let began: Vec<Option<f64>> = self.parts.iter().map(|part| began_s(part, members)).collect();
        let first = began.first().copied().flatten();
        let passed = |index: usize| Some(began.get(index).copied().flatten()? - first?).filter(|s| *s >= 0.0);
        let all_differ = is_phase && (1..self.parts.len()).all(|index| passed(index) > passed(index - 1));
        let name = |(index, part): (usize, &Vec<usize>)| {
            let said = self.by.iter().filter_map(|column| column.said.get(*part.first()?));
            let mut by: Vec<String> = said.filter(|said| said.is_told).map(|said| said.text.clone()).collect();
            by.extend(passed(index).filter(|_| all_differ).map(|s| format!("+{} s", short(s))));
            Part { number: index + 1, of: self.parts.len(), is_phase, by: by.join(", ") }
        };
        self.parts.iter().enumerate().map(name).collect()
    }
}

/// When the first picture of a part was taken, seconds of the day.
fn began_s(part: &[usize], members: &[Found]) -> Option<f64> {
    let moments = || part.iter().filter_map(|index| members.get(*index)).map(|one| &one.header.moment);
    let acquired = moments().filter_map(|moment| moment.acquired_s).min_by(f64::total_cmp);
    acquired.or_else(|| moments().filter_map(|moment| moment.content_s).min_by(f64::total_cmp))
}
