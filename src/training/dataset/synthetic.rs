//! `phantom:SEEDS`: synthetic patients by seed, made when they are asked for and never written to disk.

use crate::jobs::JobCtx;
use crate::phantom::{self, Difficulty, Domain, FractureKind, Fractured, Kinds, PatientSpec, Sex};

use super::{CaseRef, Dataset, DatasetError, LabelledCase, Place, digest};

/// More seeds than this are a slip of the keyboard.
const MOST_SEEDS: u64 = 1_000_000;
/// What the options are, for messages.
const OPTIONS: &str = "difficulty=easy|standard|hard, matrix=N, spacing=MM|drawn, domain=iid|shift, \
     positive-fraction=0..1, twins, match-age, type=NAME|all-but-NAME (several joined by +)";

/// Which synthetic patients are meant.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wish {
    /// Ascending, each once.
    pub seeds: Vec<u64>,
    /// Each patient hurt and unhurt.
    pub twins: bool,
    /// Everything but the seed.
    pub template: PatientSpec,
}

/// Does the text begin as a list of seeds does (and not as a folder).
pub(super) fn names_seeds(text: &str) -> bool {
    let seeds = text.split(';').next().unwrap_or_default().trim();
    seeds.starts_with(|c: char| c.is_ascii_digit())
        && seeds.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | ',' | ' ' | '_'))
}

impl Wish {
    /// Reads `1-200,500;difficulty=hard;twins`.
    pub(super) fn parse(text: &str) -> Result<Self, DatasetError> {
        let mut parts = text.split(';').map(str::trim);
        let seeds = seeds(parts.next().unwrap_or_default())?;
        let mut wish = Self { seeds, twins: false, template: PatientSpec::new(0) };
        for part in parts.filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').map_or((part, ""), |(key, value)| (key.trim(), value.trim()));
            if !wish.set(key, value) {
                return Err(DatasetError::Refused(format!(
                    "\"{part}\" is no option of synthetic patients; there are: {OPTIONS}"
                )));
            }
        }
        Ok(wish)
    }

    /// False when there is no such option or value.
    fn set(&mut self, key: &str, value: &str) -> bool {
        let template = &mut self.template;
        let number = || value.parse::<f64>().ok().filter(|v| v.is_finite());
        match (key, value) {
            ("difficulty", "easy") => template.difficulty = Difficulty::Easy,
            ("difficulty", "standard") => template.difficulty = Difficulty::Standard,
            ("difficulty", "hard") => template.difficulty = Difficulty::Hard,
            ("domain", "iid") => template.domain = Domain::Iid,
            ("domain", "shift") => template.domain = Domain::Shift,
            ("type", _) => match kinds(value) {
                Some(kinds) => template.kinds = kinds,
                None => return false,
            },
            ("twins", "") => self.twins = true,
            ("match-age", "") => template.match_age = true,
            ("spacing", "drawn") => template.slice_spacing_mm = None,
            ("spacing", _) => match number().filter(|mm| (0.4..=5.0).contains(mm)) {
                Some(mm) => template.slice_spacing_mm = Some(mm),
                None => return false,
            },
            ("matrix", _) => match value.parse::<usize>().ok().filter(|n| (64..=1024).contains(n)) {
                Some(n) => template.matrix = n,
                None => return false,
            },
            ("positive-fraction", _) => match number().filter(|share| (0.0..=1.0).contains(share)) {
                Some(share) => template.fractured = Fractured::ByChance(share),
                None => return false,
            },
            _ => return false,
        }
        true
    }

    /// The cases, sorted by id.
    pub(super) fn cases(&self) -> Vec<CaseRef> {
        let mut cases: Vec<CaseRef> = Vec::new();
        for &seed in &self.seeds {
            let spec = |fractured| PatientSpec { seed, fractured, ..self.template.clone() };
            if self.twins {
                let [hurt, unhurt] = [case(&spec(Fractured::Yes)), case(&spec(Fractured::Twin))];
                let twin_of = |other: &CaseRef| Some(other.id.clone());
                cases.push(CaseRef { twin: twin_of(&unhurt), ..hurt.clone() });
                cases.push(CaseRef { twin: twin_of(&hurt), ..unhurt });
            } else {
                cases.push(case(&spec(self.template.fractured)));
            }
        }
        cases.sort_by(|a, b| a.id.cmp(&b.id));
        cases
    }

    pub(super) fn dataset(&self, text: &str) -> Dataset {
        Dataset {
            name: format!("{} synthetic patients ({}), phantom:{text}", self.seeds.len(), phantom::GENERATOR_VERSION),
            cases: self.cases(),
            excluded: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// `facet`, `facet+lamina`, `all-but-facet`.
fn kinds(text: &str) -> Option<Kinds> {
    let (but, names) = text.strip_prefix("all-but-").map_or((false, text), |names| (true, names));
    let find = |name: &str| FractureKind::ALL.into_iter().find(|kind| kind.key() == name);
    let named: Vec<FractureKind> = names.split('+').map(find).collect::<Option<_>>()?;
    let kinds = if but { Kinds::all_but(&named) } else { Kinds::only(&named) };
    FractureKind::ALL.into_iter().any(|kind| kinds.contains(kind)).then_some(kinds)
}

fn seeds(text: &str) -> Result<Vec<u64>, DatasetError> {
    let refuse = |what: String| {
        DatasetError::Refused(format!("\"{text}\" is no list of seeds ({what}); give ranges such as 1-200,500"))
    };
    let mut seeds = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |t: &str| t.trim().replace('_', "").parse::<u64>().map_err(|_| refuse(format!("\"{t}\"")));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(refuse(format!("{first} is above {last}")));
        }
        if last - first >= MOST_SEEDS || seeds.len() as u64 + (last - first) >= MOST_SEEDS {
            return Err(refuse(format!("more than {MOST_SEEDS} patients")));
        }
        seeds.extend(first..=last);
    }
    seeds.sort_unstable();
    seeds.dedup();
    Ok(seeds)
}

/// The name of a synthetic patient: the seed, with a letter for what was not asked for by the seed.
pub(super) fn patient_name(spec: &PatientSpec) -> String {
    let letter = if spec.domain == Domain::Shift { 's' } else { 'p' };
    format!("{letter}{:06}", spec.seed)
}

/// One case; labels come from what is drawn before a voxel is painted.
pub(super) fn case(spec: &PatientSpec) -> CaseRef {
    let drawn = phantom::Person::new(spec);
    let fractured = drawn.is_fractured();
    let patient = patient_name(spec);
    // The same voxels whatever the share of the hurt was: the cache may keep them under one key.
    let resolved = match spec.fractured {
        Fractured::ByChance(_) if fractured => Fractured::Yes,
        Fractured::ByChance(_) => Fractured::No,
        as_asked => as_asked,
    };
    let spec = PatientSpec { fractured: resolved, ..spec.clone() };
    CaseRef {
        id: if spec.fractured == Fractured::Twin { format!("{patient}t") } else { patient.clone() },
        patient,
        fractured: Some(fractured),
        sex: Some(if drawn.sex == Sex::Male { 'M' } else { 'F' }),
        age_years: Some(drawn.age_years),
        source: if spec.domain == Domain::Shift { "phantom-shift" } else { "phantom" }.to_owned(),
        twin: None,
        content_key: content_key(&spec),
        at: Place::Phantom { spec: Box::new(spec) },
    }
}

/// Version of the generator and everything that was asked of it.
pub(super) fn content_key(spec: &PatientSpec) -> String {
    let asked = serde_json::to_string(spec).expect("a plain struct of numbers and names is written as JSON");
    digest(&[phantom::GENERATOR_VERSION, &asked])
}

pub(super) fn load(spec: &PatientSpec, ctx: &JobCtx) -> Result<LabelledCase, DatasetError> {
    let made = phantom::patient(spec, ctx)?;
    Ok(LabelledCase { loaded: made.loaded, truth: made.truth })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(text: &str) -> Wish {
        Wish::parse(text).expect("a wish")
    }

    #[test]
    fn seeds_are_ranges_and_single_numbers_each_once() {
        assert_eq!(wish("3-5,1,4").seeds, [1, 3, 4, 5]);
        assert_eq!(wish("1_000").seeds, [1000]);
        for bad in ["", "5-3", "a", "1-", "1-9999999999", "1,,2", "18446744073709551616"] {
            assert!(Wish::parse(bad).is_err(), "{bad}");
        }
        assert!(names_seeds("1-200,500;difficulty=hard") && names_seeds("7"));
        assert!(!names_seeds("./1-200") && !names_seeds("/data") && !names_seeds("1000 necks") && !names_seeds(""));
    }

    #[test]
    fn options_reach_the_patient_and_unknown_ones_are_named() {
        let asked =
            wish("1;difficulty=hard;matrix=128; domain=shift;positive-fraction=0.5;spacing=3;match-age").template;
        assert_eq!((asked.difficulty, asked.matrix, asked.domain), (Difficulty::Hard, 128, Domain::Shift));
        assert_eq!((asked.slice_spacing_mm, asked.match_age), (Some(3.0), true));
        assert_eq!(asked.fractured, Fractured::ByChance(0.5));
        let kinds = |text: &str| wish(text).template.kinds;
        assert_eq!(kinds("1;type=facet+dens-ii"), Kinds::only(&[FractureKind::Facet, FractureKind::DensBase]));
        assert_eq!(kinds("1;type=all-but-facet"), Kinds::all_but(&[FractureKind::Facet]));
        for bad in [
            "1;colour=red",
            "1;matrix=5",
            "1;difficulty=brutal",
            "1;positive-fraction=2",
            "1;spacing=NaN",
            "1;type=wrist",
        ] {
            let text = Wish::parse(bad).expect_err("refused").to_string();
            assert!(text.contains(&bad[2..]) && text.contains("positive-fraction"), "{text}");
        }
    }

    #[test]
    fn labels_are_known_and_the_share_is_as_asked() {
        let cases = wish("1-2000;positive-fraction=0.3").cases();
        let hurt = cases.iter().filter(|c| c.fractured == Some(true)).count();
        assert!((540..=660).contains(&hurt), "{hurt} of 2000");
        let men = cases.iter().filter(|c| c.sex == Some('M')).count();
        assert!((1220..=1380).contains(&men), "{men} of 2000");
        assert!(cases.windows(2).all(|pair| pair[0].id < pair[1].id));
    }

    #[test]
    fn twins_are_pairs_of_one_patient() {
        let cases = wish("1-20;twins").cases();
        assert_eq!(cases.len(), 40);
        for pair in cases.chunks(2) {
            assert_eq!(pair[0].twin.as_ref(), Some(&pair[1].id));
            assert_eq!(pair[1].twin.as_ref(), Some(&pair[0].id));
            assert_eq!((&pair[0].patient, pair[0].age_years), (&pair[1].patient, pair[1].age_years));
            assert_eq!((pair[0].fractured, pair[1].fractured), (Some(true), Some(false)));
        }
    }

    #[test]
    fn keys_follow_what_changes_voxels() {
        let key = |text: &str| wish(text).cases()[0].content_key.clone();
        assert_eq!(key("1;positive-fraction=1"), key("1-5;positive-fraction=1"));
        assert_ne!(key("1"), key("2"));
        assert_ne!(key("1;matrix=128"), key("1;matrix=256"));
        assert_eq!(key("1;positive-fraction=0.999999999"), key("1;positive-fraction=1"), "only who is hurt counts");
    }
}
