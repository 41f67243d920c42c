//! Measurements on a pane: the mouse that draws and moves them, their lines, handles and labels.

use egui::text::{CCursor, CCursorRange};
use egui::{Color32, FontId, Painter, Pos2, Rect, Response, Shape, Stroke, pos2, vec2};

use super::panes::PaneMap;
use super::{UiCache, theme};
use crate::geometry::PatientPoint;
use crate::measure::{self, Drawn, Kind, MeasureId, Measurement, Part, place_label};
use crate::state::{ActiveSeries, AppState, Command, MeasureCommand, OverlayDensity, Tool};
use crate::view::planes::Pane;

/// Distance at which a handle, and at which a line is taken hold of, points.
const HANDLE_GRIP: f32 = 8.0;
const LINE_GRIP: f32 = 5.0;
/// A press that moves further than this is a drag, points.
const DRAG: f32 = 6.0;
/// What is taken hold of stays where it is until the pointer has moved so far, points.
const SLACK: f32 = 2.0;

/// What the widgets remember of measurements between frames.
#[derive(Debug, Default)]
pub struct Pointer {
    held: Option<(Pane, Held)>,
    /// Where labels stood in the last frame.
    labels: Vec<(Pane, MeasureId, Rect)>,
    /// The field for a name has been given the focus.
    focused: Option<MeasureId>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Held {
    /// A part of a measurement, since the press there.
    Part { from: Pos2, moved: bool },
    /// The press that put a point.
    Point { from: Pos2 },
}

/// The measuring tool in hand.
pub fn tool_in_hand(tool: Tool) -> Option<Kind> {
    match tool {
        Tool::Measure(kind) => Some(kind),
        Tool::WindowRegion => Some(Kind::Rectangle),
        _ => None,
    }
}

fn send(commands: &mut Vec<Command>, command: MeasureCommand) {
    commands.push(Command::Measure(command));
}

/// Presses, drags and clicks that concern measurements. True when the left button is theirs in this frame.
pub fn pointer(
    ui: &egui::Ui,
    response: &Response,
    (pane, map): (Pane, &PaneMap),
    state: &AppState,
    active: &ActiveSeries,
    cache: &mut UiCache,
    commands: &mut Vec<Command>,
) -> bool {
    let (pressed_at, released, plain, at) = ui.input(|i| {
        let other = i.modifiers.alt || i.modifiers.shift || i.modifiers.command || i.key_down(egui::Key::Space);
        (i.events.iter().find_map(primary_press), i.pointer.primary_released(), !other, i.pointer.interact_pos())
    });
    let Some(at) = at else { return false };
    let pressed = pressed_at.is_some();
    let drafting = active.measures.draft.as_ref().filter(|draft| draft.pane == pane);
    // A quick click is pressed and released within one frame, and nothing is down at its end.
    let here = response.is_pointer_button_down_on() || response.contains_pointer();
    if let Some(at) = pressed_at.filter(|at| plain && here && map.rect.contains(*at)) {
        press(at, (pane, map), state, active, cache, commands);
    }
    if let Some(at) =
        ui.input(|i| i.events.iter().find_map(secondary_press)).filter(|at| here && map.rect.contains(*at))
        && let Some((id, _)) = hit(at, (pane, map), state, active, cache)
    {
        // What the menu speaks of is what is under the pointer.
        send(commands, MeasureCommand::Select(Some(id)));
    }
    if let Some((of, Held::Part { from, moved })) = &mut cache.measure.held
        && *of == pane
    {
        *moved |= from.distance(at) > SLACK;
    }
    let held = cache.measure.held.filter(|(of, _)| *of == pane).map(|(_, held)| held);
    match held {
        Some(Held::Part { moved: true, .. }) => send(commands, MeasureCommand::DragTo(map.patient(at))),
        Some(Held::Point { .. }) | None if drafting.is_some() && response.contains_pointer() => {
            send(commands, MeasureCommand::Preview(map.patient(at)));
        }
        _ => {}
    }
    if let (true, Some(held)) = (released, held) {
        cache.measure.held = None;
        // What was pressed in this frame is not in the state yet.
        let goes_on = if pressed { !finishes(state, active) } else { drafting.is_some() };
        match held {
            Held::Part { .. } => send(commands, MeasureCommand::EndDrag),
            Held::Point { from } if goes_on && from.distance(at) > DRAG => {
                send(commands, MeasureCommand::Place { pane, at: map.patient(at) });
            }
            Held::Point { .. } => {}
        }
    }
    if released {
        // Pressed in one pane and released over another: nobody holds it any more.
        cache.measure.held = cache.measure.held.filter(|(of, _)| *of != pane);
    }
    let takes = tool_in_hand(state.tool).is_some() && plain && response.contains_pointer();
    if let Some(id) = label_under(cache, pane, at).filter(|_| response.double_clicked()) {
        send(commands, MeasureCommand::Edit(Some(id)));
        return true;
    }
    held.is_some() || (takes && (pressed || released || response.double_clicked()))
}

/// One more point makes it whole.
fn finishes(state: &AppState, active: &ActiveSeries) -> bool {
    let placed = active.measures.draft.as_ref().map_or(0, |draft| draft.placed());
    tool_in_hand(state.tool).is_none_or(|kind| placed + 1 >= kind.points())
}

/// Where the left button went down.
fn primary_press(event: &egui::Event) -> Option<Pos2> {
    press_of(event, egui::PointerButton::Primary)
}

fn secondary_press(event: &egui::Event) -> Option<Pos2> {
    press_of(event, egui::PointerButton::Secondary)
}

fn press_of(event: &egui::Event, of: egui::PointerButton) -> Option<Pos2> {
    match event {
        egui::Event::PointerButton { pos, button, pressed: true, .. } if *button == of => Some(*pos),
        _ => None,
    }
}

fn label_under(cache: &UiCache, pane: Pane, at: Pos2) -> Option<MeasureId> {
    cache.measure.labels.iter().find(|(of, _, rect)| *of == pane && rect.contains(at)).map(|(_, id, _)| *id)
}

fn press(
    at: Pos2,
    (pane, map): (Pane, &PaneMap),
    state: &AppState,
    active: &ActiveSeries,
    cache: &mut UiCache,
    commands: &mut Vec<Command>,
) {
    // A region for the window may begin anywhere.
    let may_grab = active.measures.draft.is_none() && state.tool != Tool::WindowRegion;
    let hit = may_grab.then(|| hit(at, (pane, map), state, active, cache)).flatten();
    if let Some((id, part)) = hit {
        cache.measure.held = Some((pane, Held::Part { from: at, moved: false }));
        commands.push(Command::FocusPane(pane));
        send(commands, MeasureCommand::Grab { id, part, pane, at: map.patient(at) });
    } else if tool_in_hand(state.tool).is_some() {
        cache.measure.held = Some((pane, Held::Point { from: at }));
        commands.push(Command::FocusPane(pane));
        send(commands, MeasureCommand::Place { pane, at: map.patient(at) });
    } else if active.measures.sheet.selected.is_some() {
        send(commands, MeasureCommand::Select(None));
    }
}

/// The measurements that a pane shows.
fn shown<'a>(state: &'a AppState, active: &'a ActiveSeries, pane: Pane) -> impl Iterator<Item = &'a Measurement> {
    active.measures.sheet.measurements().iter().filter(move |m| active.shows(pane, state.slab, m))
}

fn drawn(measurement: &Measurement, label: Vec<String>, map: &PaneMap) -> Drawn {
    let target = |at: PatientPoint| {
        let at = map.screen(at);
        [f64::from(at.x), f64::from(at.y)]
    };
    Drawn::new(measurement, label, &target)
}

fn point([x, y]: [f64; 2]) -> Pos2 {
    pos2(x as f32, y as f32)
}

/// What lies under the pointer: handles of the selected one first, then labels, other handles, lines.
fn hit(
    at: Pos2,
    (pane, map): (Pane, &PaneMap),
    state: &AppState,
    active: &ActiveSeries,
    cache: &UiCache,
) -> Option<(MeasureId, Part)> {
    let selected = active.measures.sheet.selected;
    let here: Vec<Drawn> = shown(state, active, pane).map(|m| drawn(m, Vec::new(), map)).collect();
    let handle = |d: &Drawn| {
        let away = |i: usize, p: &[f64; 2]| (point(*p).distance(at) <= HANDLE_GRIP).then_some((d.id, Part::Handle(i)));
        d.handles.iter().enumerate().find_map(|(i, p)| away(i, p))
    };
    let label = || label_under(cache, pane, at).map(|id| (id, Part::Label));
    let line = |d: &Drawn| d.distance([f64::from(at.x), f64::from(at.y)]) <= f64::from(LINE_GRIP);
    here.iter()
        .filter(|d| Some(d.id) == selected)
        .find_map(handle)
        .or_else(label)
        .or_else(|| here.iter().rev().find_map(handle))
        .or_else(|| here.iter().rev().find(|d| line(d)).map(|d| (d.id, Part::Whole)))
}

/// The cursor over something that can be moved.
pub fn cursor(
    at: Pos2,
    pane: (Pane, &PaneMap),
    state: &AppState,
    active: &ActiveSeries,
    cache: &UiCache,
) -> Option<egui::CursorIcon> {
    if active.measures.draft.is_some() {
        return Some(egui::CursorIcon::Crosshair);
    }
    hit(at, pane, state, active, cache).map(|(_, part)| match part {
        Part::Handle(_) => egui::CursorIcon::Move,
        Part::Whole | Part::Label => egui::CursorIcon::Grab,
    })
}

fn font(rect: Rect) -> FontId {
    FontId::proportional(if rect.height() > 1300.0 { 16.0 } else { 13.0 })
}

/// Everything that has been drawn on the plane of the pane, and what is being drawn. `taken` is where text stands.
pub fn paint(
    ui: &mut egui::Ui,
    (pane, map): (Pane, &PaneMap),
    state: &AppState,
    active: &ActiveSeries,
    mut taken: Vec<Rect>,
    cache: &mut UiCache,
    commands: &mut Vec<Command>,
) {
    cache.measure.labels.retain(|(of, ..)| *of != pane);
    let painter = ui.painter_at(map.rect);
    let values = active.values();
    let selected = active.measures.sheet.selected;
    let hidden = state.settings.overlay == OverlayDensity::None;
    let draft = active.measures.draft.as_ref().filter(|draft| draft.pane == pane).and_then(|d| d.shown.as_ref());
    let draft = draft.filter(|m| active.shows(pane, state.slab, m));
    let all: Vec<(Drawn, Look)> = shown(state, active, pane)
        .map(|m| (m, if Some(m.id) == selected { Look::Selected } else { Look::Plain }))
        .chain(draft.map(|m| (m, Look::Drawing)))
        .map(|(m, look)| (drawn(m, if hidden { Vec::new() } else { measure::label(m, values) }, map), look))
        .collect();
    for (drawn, look) in &all {
        let chosen = active.measures.chosen_handle().filter(|_| *look == Look::Selected);
        paint_lines(&painter, drawn, *look, chosen);
    }
    for (drawn, look) in &all {
        let Some(rect) = paint_label(&painter, map.rect, drawn, *look, &taken) else { continue };
        taken.push(rect);
        if *look != Look::Drawing {
            cache.measure.labels.push((pane, drawn.id, rect));
        }
    }
    if let (Some(kind), true) = (tool_in_hand(state.tool), pane == state.focused_pane()) {
        let placed = active.measures.draft.as_ref().map_or(0, |draft| draft.placed());
        let colour = if placed > 0 { theme::MEASURE } else { theme::DIM };
        paint_hint(&painter, map.rect, &hint(state, kind, placed), colour, &taken);
    }
    if let (Some(id), true) = (active.measures.editing, pane == state.focused_pane()) {
        edit_name(ui, id, (pane, map), active, cache, commands);
    }
}

/// Beside a strip of slices, where something has been measured (a dash) and what was marked (a square).
pub fn paint_marks(painter: &Painter, right: f32, centre_of: &impl Fn(usize) -> f32, active: &ActiveSeries) {
    let sheet = &active.measures.sheet;
    let slices = active.slice_count();
    for index in sheet.measurements().iter().filter_map(measure::slice_of).filter(|i| *i < slices) {
        let y = centre_of(index);
        painter.line_segment([pos2(right - 4.0, y), pos2(right, y)], Stroke::new(1.5, theme::MEASURE));
    }
    for key in sheet.key_slices().iter().filter(|key| key.index < slices) {
        let at = pos2(right - 2.0, centre_of(key.index));
        painter.rect_filled(Rect::from_center_size(at, vec2(4.0, 5.0)), 0.0, theme::MEASURE);
    }
}

/// At the top of the pane, below the corners' text where it would run into it.
fn paint_hint(painter: &Painter, view: Rect, text: &str, colour: Color32, taken: &[Rect]) {
    let galley = painter.layout(text.to_owned(), font(view), colour, (view.width() - 20.0).max(60.0));
    let left = view.center().x - galley.size().x / 2.0;
    let mut ground = Rect::from_min_size(pos2(left, view.top() + 32.0), galley.size());
    while let Some(other) = taken.iter().find(|r| r.intersects(ground)).filter(|_| ground.bottom() < view.bottom()) {
        ground = ground.translate(vec2(0.0, (other.bottom() - ground.top()).max(1.0)));
    }
    painter.rect_filled(ground.expand(2.0), 2.0, Color32::from_black_alpha(150));
    painter.galley(ground.min, galley, colour);
}

/// What to do next, while a tool is in hand.
fn hint(state: &AppState, kind: Kind, placed: usize) -> String {
    let what = if state.tool == Tool::WindowRegion { "Window from a region" } else { kind.name() };
    let next = match (kind, placed) {
        (Kind::Length, 0) => "drag, or click both ends",
        (Kind::Length, _) => "click the other end",
        (Kind::Angle, 0) => "drag the first leg to the vertex, then click the end of the second",
        (Kind::Angle, 1) => "click the vertex",
        (Kind::Angle, _) => "click the end of the second leg",
        (Kind::Cobb, 0) => "drag along the first endplate, then along the second",
        (Kind::Cobb, 1) => "click the first line's other end",
        (Kind::Cobb, 2) => "drag along the second endplate",
        (Kind::Cobb, _) => "click the second line's other end",
        (Kind::Ellipse | Kind::Rectangle, 0) => "drag from corner to corner",
        (Kind::Ellipse | Kind::Rectangle, _) => "click the opposite corner",
        (Kind::Pin, _) => "click a point",
        (Kind::Vertebra, _) => "click each vertebra from C2 down; its name can be changed",
        (Kind::Arrow, 0) => "drag from the tip to the text",
        (Kind::Arrow, _) => "click where the text shall stand",
    };
    match state.keymap.keys("draw-here").first().filter(|_| placed == 0) {
        Some(key) => format!("{what}: {next}; {key} draws it here. Esc ends it."),
        None => format!("{what}: {next}. Esc ends it."),
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Look {
    Plain,
    Selected,
    Drawing,
}

impl Look {
    fn colour(self) -> Color32 {
        if self == Self::Plain { theme::MEASURE } else { theme::MEASURE_SELECTED }
    }
}

const SHADE: Color32 = Color32::from_black_alpha(200);

fn paint_lines(painter: &Painter, drawn: &Drawn, look: Look, chosen: Option<usize>) {
    let colour = look.colour();
    let both = |shape: &dyn Fn(Stroke) -> Vec<Shape>| {
        painter.extend(shape(Stroke::new(3.6, SHADE)));
        painter.extend(shape(Stroke::new(1.4, colour)));
    };
    for line in &drawn.lines {
        let points: Vec<Pos2> = line.iter().copied().map(point).collect();
        both(&|stroke| vec![Shape::line(points.clone(), stroke)]);
    }
    for ends in &drawn.dashed {
        both(&|stroke| Shape::dashed_line(&ends.map(point), stroke, 5.0, 5.0));
    }
    match (drawn.kind, drawn.handles.as_slice()) {
        (Kind::Length, [a, b]) => {
            let (a, b) = (point(*a), point(*b));
            // Ticks across the ends show where exactly they lie.
            let across = (b - a).normalized().rot90() * 5.0;
            both(&|stroke| [a, b].map(|end| Shape::line_segment([end - across, end + across], stroke)).into());
        }
        (Kind::Pin | Kind::Vertebra, [at]) => {
            let at = point(*at);
            let arms = [vec2(1.0, 0.0), vec2(-1.0, 0.0), vec2(0.0, 1.0), vec2(0.0, -1.0)];
            both(&|stroke| arms.map(|d| Shape::line_segment([at + d * 3.0, at + d * 9.0], stroke)).into());
        }
        (Kind::Arrow, [tip, tail]) => {
            let (tip, tail) = (point(*tip), point(*tail));
            let back = (tail - tip).normalized();
            let barbs = [back * 11.0 + back.rot90() * 5.0, back * 11.0 - back.rot90() * 5.0];
            both(&|stroke| barbs.map(|barb| Shape::line_segment([tip, tip + barb], stroke)).into());
        }
        _ => {}
    }
    if look == Look::Selected {
        for (handle, at) in drawn.handles.iter().enumerate() {
            let chosen = chosen == Some(handle);
            let square = Rect::from_center_size(point(*at), if chosen { vec2(11.0, 11.0) } else { vec2(7.0, 7.0) });
            painter.rect_filled(square.expand(1.0), 0.0, SHADE);
            if chosen {
                painter.rect_filled(square, 0.0, colour);
            }
            painter.rect_stroke(square, 0.0, Stroke::new(1.4, colour), egui::StrokeKind::Inside);
        }
    }
}

/// Where the label stands now; `None` without one.
fn paint_label(painter: &Painter, view: Rect, drawn: &Drawn, look: Look, taken: &[Rect]) -> Option<Rect> {
    if drawn.label.is_empty() {
        return None;
    }
    let (font, colour) = (font(view), look.colour());
    let galley = painter.layout_no_wrap(drawn.label.join("\n"), font.clone(), colour);
    let size = galley.size();
    let numbers = |r: Rect| [r.left(), r.top(), r.right(), r.bottom()].map(f64::from);
    let at = match drawn.label_at {
        Some(middle) => point(middle) - size / 2.0,
        None => {
            let taken: Vec<[f64; 4]> = taken.iter().map(|r| numbers(*r)).collect();
            let room = numbers(view.shrink(4.0));
            let anchor = clamped(drawn.anchor(), room);
            point(place_label([f64::from(size.x), f64::from(size.y)], anchor, room, &taken, 9.0))
        }
    };
    let rect = Rect::from_min_size(at, size);
    if drawn.label_at.is_some() {
        leader(painter, rect, drawn, colour);
    }
    // A ground of its own, so that it is read on bone and on air alike.
    painter.rect_filled(rect.expand2(vec2(3.0, 1.0)), 2.0, Color32::from_black_alpha(150));
    painter.galley(at, galley, colour);
    Some(rect.expand2(vec2(3.0, 1.0)))
}

/// A region larger than the view is labelled within the view.
fn clamped(anchor: [f64; 4], room: [f64; 4]) -> [f64; 4] {
    [
        anchor[0].clamp(room[0], room[2]),
        anchor[1].clamp(room[1], room[3]),
        anchor[2].clamp(room[0], room[2]),
        anchor[3].clamp(room[1], room[3]),
    ]
}

/// A thin line from a label that was moved to what it belongs to.
fn leader(painter: &Painter, label: Rect, drawn: &Drawn, colour: Color32) {
    let ends = drawn.lines.iter().flatten().chain(&drawn.handles).copied().map(point);
    let nearest = ends.min_by(|a, b| label.distance_to_pos(*a).total_cmp(&label.distance_to_pos(*b)));
    if let Some(end) = nearest.filter(|end| label.distance_to_pos(*end) > 14.0) {
        let start = label.clamp(end);
        painter.extend(Shape::dashed_line(&[start, end], Stroke::new(1.0, colour.gamma_multiply(0.7)), 3.0, 4.0));
    }
}

/// The field for a name, where the label stands.
fn edit_name(
    ui: &mut egui::Ui,
    id: MeasureId,
    (pane, map): (Pane, &PaneMap),
    active: &ActiveSeries,
    cache: &mut UiCache,
    commands: &mut Vec<Command>,
) {
    let Some(measurement) = active.measures.sheet.get(id) else { return };
    // The click that put the point would be one beside the field, which closes it.
    if cache.measure.focused != Some(id) && ui.input(|i| i.pointer.any_down() || i.pointer.any_released()) {
        return ui.ctx().request_repaint();
    }
    let label = cache.measure.labels.iter().find(|(of, other, _)| (*of, *other) == (pane, id)).map(|(.., rect)| *rect);
    let anchor = drawn(measurement, Vec::new(), map).anchor();
    let at = label.map_or(pos2(anchor[2] as f32 + 9.0, anchor[1] as f32 - 10.0), |rect| rect.left_top());
    let size = vec2(200.0, 22.0);
    let at = at.clamp(map.rect.min, map.rect.max - size);
    let mut name = measurement.name.clone();
    let hint = if measurement.kind == Kind::Arrow { "text" } else { "name" };
    let field = egui::TextEdit::singleline(&mut name).hint_text(hint).char_limit(80);
    let response = ui.put(Rect::from_min_size(at, size), field).accessible_name("Name of the measurement");
    if cache.measure.focused != Some(id) {
        cache.measure.focused = Some(id);
        response.request_focus();
        // What is typed replaces the name that stands there.
        let all = CCursorRange::two(CCursor::new(0), CCursor::new(measurement.name.chars().count()));
        let mut state = egui::TextEdit::load_state(ui.ctx(), response.id).unwrap_or_default();
        state.cursor.set_char_range(Some(all));
        state.store(ui.ctx(), response.id);
    }
    if response.changed() {
        send(commands, MeasureCommand::Rename(id, name));
    }
    if response.lost_focus() {
        cache.measure.focused = None;
        send(commands, MeasureCommand::Edit(None));
    }
}
