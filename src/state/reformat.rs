//! Axial slices of a series that has none: a further series of its study, in memory until the study is closed.

use super::*;
use crate::study::quality::{MAX_OFF_AXIAL_DEG, off_axial_deg};

/// What is being reformatted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reformatting {
    request: RequestId,
    /// Of the catalog.
    series: usize,
}

impl AppState {
    /// Slices are being reformatted.
    pub fn is_reformatting(&self) -> bool {
        self.reformatting.is_some()
    }

    /// The series being read has slices that are not axial, and all that it takes to make axial ones.
    pub fn can_reformat(&self) -> bool {
        let Some(active) = &self.active else { return false };
        let leans = off_axial_deg(&active.series).is_some_and(|deg| deg > MAX_OFF_AXIAL_DEG);
        leans && active.planes.is_some() && !active.series.is_localizer
    }

    pub(super) fn apply_reformat(&mut self, command: &Command, effects: &mut Vec<Effect>) {
        match command {
            Command::ReformatAxial => self.reformat(effects),
            Command::CancelReformat if self.reformatting.is_some() => effects.push(Effect::CancelReformat),
            _ => {}
        }
    }

    fn reformat(&mut self, effects: &mut Vec<Effect>) {
        if self.reformatting.is_some() {
            return;
        }
        let Some(active) = &self.active else { return };
        if let Some(made) = self.made_before(active) {
            return self.show_series(made, effects);
        }
        if !self.can_reformat() {
            return self.notice(Severity::Info, why_not(active));
        }
        let Some(loaded) = active.loaded.clone() else { return };
        let series = active.index;
        let request = self.next_request();
        self.reformatting = Some(Reformatting { request, series });
        let limit_bytes = (self.settings.memory_mb << 20).saturating_sub(self.held_by_catalog());
        effects.push(Effect::Reformat { request, loaded, limit_bytes });
    }

    /// The axial series that was made of a series before.
    fn made_before(&self, active: &ActiveSeries) -> Option<usize> {
        let uid = active.series.axial_uid();
        let all = &self.study.as_ref()?.catalog.series;
        all.iter().position(|s| s.reformatted.is_some() && !uid.is_empty() && s.uid == uid)
    }

    /// Bytes of the series that were made here.
    pub(super) fn held_by_catalog(&self) -> u64 {
        let made = self.study.iter().flat_map(|study| &study.catalog.series).filter_map(|s| s.reformatted.as_ref());
        made.map(|made| made.volume.bytes() as u64).sum()
    }

    pub(super) fn reformatted(
        &mut self,
        request: RequestId,
        result: Result<LoadedSeries, Ended>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(of) = self.reformatting.take_if(|of| of.request == request) else { return };
        let loaded = match result {
            Ok(loaded) => loaded,
            Err(Ended::Cancelled) => {
                return self.notice(Severity::Info, "Reformatting was cancelled; nothing was changed.");
            }
            Err(Ended::Failed(why) | Ended::Stopped(why)) => {
                return self.notice(Severity::Error, format!("No axial slices were made of this series: {why}."));
            }
        };
        let Some(study) = &mut self.study else { return };
        let index = study.catalog.series.len();
        Arc::make_mut(&mut study.catalog).series.push((*loaded.series).clone());
        study.thumbnails.push(None);
        if let Some(row) = self.worklist.rows.iter_mut().find(|row| row.series.contains(&of.series)) {
            row.series.push(index);
        }
        let slices = loaded.volume.slices();
        if let Some(slice) = slices.get(slices.len() / 2).cloned() {
            effects.push(Effect::ThumbnailOf { request: self.thumbnails_request, series: index, slice });
        }
        self.keep_budget();
        // Who reads something else by now is not taken away from it.
        if self.active.as_ref().is_some_and(|active| active.index == of.series) && !self.shows_worklist() {
            self.show_series(index, effects);
        } else {
            let text = format!("The list of series has a new one: {}.", loaded.series.description);
            self.notice(Severity::Info, text);
        }
    }

    /// Ends what is being made; nobody waits for it any more.
    pub(super) fn drop_reformat(&mut self, effects: &mut Vec<Effect>) {
        if self.reformatting.take().is_some() {
            effects.push(Effect::CancelReformat);
        }
    }
}

fn why_not(active: &ActiveSeries) -> String {
    if active.loaded.is_none() {
        return "The slices are still being read; reformat them when all are there.".to_owned();
    }
    match (off_axial_deg(&active.series), &active.no_planes) {
        (Some(deg), _) if deg <= MAX_OFF_AXIAL_DEG => {
            format!("These slices are axial within {deg:.0} degrees already; there is nothing to reformat.")
        }
        (_, Some(why)) => format!("These slices cannot be reformatted: {why}."),
        _ => "These slices cannot be reformatted: they are a localizer or have no place in the patient.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{loaded_from, placed, series};
    use super::*;
    use crate::geometry::Vec3;
    use crate::study::{ReformatError, to_axial};

    /// Eight sagittal slices and as many axial ones, in one frame of reference; the sagittal ones are on the screen.
    fn opened() -> AppState {
        let mut state = AppState::new(Settings { auto_analyse: false, ..Settings::default() });
        state.apply(Command::OpenPath("/study".into()));
        let mut leaning = Series { uid: "1.2.8".into(), ..placed(series(8)) };
        for (i, slice) in leaning.slices.iter_mut().enumerate() {
            slice.pose = Some(SlicePose {
                origin: PatientPoint(Vec3::new(2.0 * i as f64, 0.0, 0.0)),
                along_row: Vec3::new(0.0, 1.0, 0.0),
                along_column: Vec3::new(0.0, 0.0, -1.0),
            });
        }
        let mut all = [placed(series(10)), leaning];
        all.iter_mut().for_each(|s| s.frame_of_reference = "1.9".into());
        let catalog = Catalog { series: all.into(), ..Catalog::default() };
        let request = state.scan_request;
        state.receive(Event::Scanned { request, result: Ok(Arc::new(catalog)) });
        state.apply(Command::ShowSeries(1));
        read(&mut state);
        state
    }

    fn read(state: &mut AppState) {
        let active = state.active.as_ref().expect("on the screen");
        let loaded = active.series.in_memory().unwrap_or_else(|| loaded_from(state));
        let request = state.load_request;
        state.receive(Event::Loaded { request, result: Ok((loaded, Vec::new())), seconds: 0.1 });
    }

    fn asked(effects: &[Effect]) -> Option<(RequestId, LoadedSeries, u64)> {
        effects.iter().find_map(|e| match e {
            Effect::Reformat { request, loaded, limit_bytes } => Some((*request, loaded.clone(), *limit_bytes)),
            _ => None,
        })
    }

    fn shown(state: &AppState) -> Option<usize> {
        state.active.as_ref().map(|active| active.index)
    }

    #[test]
    fn axial_slices_join_the_study_are_shown_and_stay() {
        let mut state = opened();
        assert!(state.can_reformat());
        let (request, loaded, limit) = asked(&state.apply(Command::ReformatAxial)).expect("begun");
        assert!(state.is_reformatting() && asked(&state.apply(Command::ReformatAxial)).is_none(), "once");
        let made = to_axial(&loaded, limit, &|_, _| true).expect("made");
        let effects = state.receive(Event::Reformatted { request, result: Ok(made.clone()) });
        assert!(effects.iter().any(|e| matches!(e, Effect::ThumbnailOf { series: 2, .. })));
        assert!(effects.iter().any(|e| matches!(e, Effect::Load { .. })), "read as any other");
        assert_eq!((shown(&state), &state.worklist.rows[0].series), (Some(2), &vec![0, 1, 2]));
        read(&mut state);
        let active = state.active.as_ref().expect("on the screen");
        assert_eq!(active.loaded.as_ref().map(|l| l.volume.id()), Some(made.volume.id()));
        assert!(active.measures.key.is_some() && !state.can_reformat());
        state.apply(Command::ReformatAxial);
        assert!(state.notices.last().is_some_and(|n| n.text.contains("axial within 0 degrees already")));
        state.apply(Command::ToggleAttributes);
        let said = state.attributes.shown().expect("at once").as_ref().expect_err("there are none");
        assert!(said.contains("reformatted from another series"));

        // Both share a frame of reference.
        state.apply(Command::Beside(BesideCommand::Open(1)));
        assert_eq!(state.beside().map(|b| b.link), Some(Link::Place));
        state.apply(Command::Beside(BesideCommand::Close));

        // Left without room, it comes back with its voxels; it counts once.
        state.settings.memory_mb = 0;
        state.apply(Command::ShowSeries(0));
        let bytes = made.volume.bytes() as u64;
        assert_eq!(state.in_memory().1, bytes);
        state.apply(Command::ShowSeries(1));
        read(&mut state);
        let effects = state.apply(Command::ReformatAxial);
        assert!(asked(&effects).is_none() && shown(&state) == Some(2), "what was made is not made again");
        read(&mut state);
        assert_eq!(state.in_memory(), (1, bytes));
        state.apply(Command::CloseStudy);
        assert_eq!(state.in_memory(), (0, 0));
    }

    #[test]
    fn what_ends_otherwise_is_told_and_changes_nothing() {
        let mut state = opened();
        let (request, loaded, limit) = asked(&state.apply(Command::ReformatAxial)).expect("begun");
        assert!(limit > 1 << 30);
        assert!(state.apply(Command::CancelReformat).iter().any(|e| matches!(e, Effect::CancelReformat)));
        state.receive(Event::Reformatted { request, result: Err(Ended::Cancelled) });
        assert!(!state.is_reformatting() && state.notices.last().is_some_and(|n| n.text.contains("cancelled")));
        let (request, ..) = asked(&state.apply(Command::ReformatAxial)).expect("again");
        let why = ReformatError::TooLarge { needed_mb: 9, limit_mb: 8 }.to_string();
        state.receive(Event::Reformatted { request, result: Err(Ended::Failed(why)) });
        assert!(state.notices.last().is_some_and(|n| n.text.contains("9 MB, more than the 8 MB")));
        assert_eq!(state.study.as_ref().map(|s| s.catalog.series.len()), Some(2));

        // Who has gone on to another series is not taken away from it.
        let (request, ..) = asked(&state.apply(Command::ReformatAxial)).expect("again");
        state.apply(Command::ShowSeries(0));
        let made = to_axial(&loaded, limit, &|_, _| true).expect("made");
        state.receive(Event::Reformatted { request, result: Ok(made.clone()) });
        assert!(shown(&state) == Some(0) && state.notices.last().is_some_and(|n| n.text.contains("has a new one")));

        // Nor does a study that was closed get one.
        state.apply(Command::ShowSeries(1));
        state.study.as_mut().map(|s| Arc::make_mut(&mut s.catalog).series.pop());
        read(&mut state);
        let (request, ..) = asked(&state.apply(Command::ReformatAxial)).expect("again");
        assert!(state.apply(Command::CloseStudy).iter().any(|e| matches!(e, Effect::CancelReformat)));
        state.receive(Event::Reformatted { request, result: Ok(made) });
        assert!(state.study.is_none());
    }
}
