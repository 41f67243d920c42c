//! What a frame says of its place in time (PS3.3 C.7.6.16.2.2, C.7.6.16.2.7, C.7.6.17).

use dicom_core::Tag;

use super::{Level, Object, Problem, Said};
use crate::dicom::header::{Moment, seconds_of};

const FRAME_CONTENT: Tag = Tag(0x0020, 0x9111);
const TEMPORAL_INDEX: Tag = Tag(0x0020, 0x9128);
const DIMENSION_VALUES: Tag = Tag(0x0020, 0x9157);
const ACQUISITION_NUMBER: Tag = Tag(0x0020, 0x9156);
const ACQUISITION_TIME: Tag = Tag(0x0018, 0x9074);
const CARDIAC: Tag = Tag(0x0018, 0x9118);
const CARDIAC_PERCENT: Tag = Tag(0x0020, 0x9241);
const TRIGGER_DELAY_MS: Tag = Tag(0x0020, 0x9153);
const TEMPORAL_POSITION: Tag = Tag(0x0020, 0x9310);
const TIME_OFFSET_S: Tag = Tag(0x0020, 0x930D);
const DIMENSIONS: Tag = Tag(0x0020, 0x9222);
const DIMENSION_POINTER: Tag = Tag(0x0020, 0x9165);
/// Dimensions that say where a frame lies: StackID, InStackPositionNumber, position and orientation.
const OF_SPACE: [Tag; 4] = [Tag(0x0020, 0x9056), Tag(0x0020, 0x9057), Tag(0x0020, 0x0032), Tag(0x0020, 0x0037)];

/// The attributes that the dimensions of an object count, in order.
pub(super) fn dimensions(object: &Object, top: &Level) -> Result<Vec<Tag>, Problem> {
    let pointer = |item: &Level| match item.wholes(DIMENSION_POINTER, 2).as_slice() {
        [group, element] => Tag(u16::try_from(*group).unwrap_or(0), u16::try_from(*element).unwrap_or(0)),
        _ => Tag(0, 0),
    };
    Ok(object.items(top, DIMENSIONS)?.iter().map(pointer).collect())
}

/// Of one frame, with its acquisition's number. What it does not say is what the object says.
pub(super) fn of(said: &Said, dimensions: &[Tag], object: &Moment) -> Result<(Moment, Option<i64>), Problem> {
    let mut moment = object.clone();
    let mut acquisition = None;
    if let Some(content) = said.object.group(said.frame, FRAME_CONTENT)? {
        moment.temporal_index = content.wholes(TEMPORAL_INDEX, 4).first().copied().or(moment.temporal_index);
        acquisition = content.wholes(ACQUISITION_NUMBER, 2).first().copied();
        let at = content.text(ACQUISITION_TIME);
        moment.acquired_s = at.get(8..).and_then(seconds_of).or(moment.acquired_s);
        let values = content.wholes(DIMENSION_VALUES, 4);
        let others: Vec<(Tag, i64)> =
            dimensions.iter().copied().zip(values).filter(|(pointer, _)| !OF_SPACE.contains(pointer)).collect();
        let time = others.iter().find(|(pointer, _)| [TEMPORAL_INDEX, TIME_OFFSET_S].contains(pointer));
        moment.temporal_index = moment.temporal_index.or(time.map(|(_, value)| *value));
        moment.dimensions = others.iter().map(|(_, value)| value.to_string()).collect::<Vec<_>>().join(" ");
    }
    let number = |group: Tag, tag: Tag| said.of(group, |level| level.numbers(tag)?.first().copied());
    moment.acquired_s = moment.acquired_s.or(number(TEMPORAL_POSITION, TIME_OFFSET_S)?);
    moment.cardiac_percent = number(CARDIAC, CARDIAC_PERCENT)?.or(moment.cardiac_percent);
    moment.trigger_ms = number(CARDIAC, TRIGGER_DELAY_MS)?.or(moment.trigger_ms);
    Ok((moment, acquisition))
}
