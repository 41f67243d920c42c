// From values to display values, the same for slices and planes. Compiled together with slice.wgsl or planes.wgsl, which
// say what `view` is and what a pixel shows. Twins on the CPU: volume::Window::grey8, volume::VoiTable::grey8.

const FLOAT_BITS = 1u; // the texture holds the bits of f32 values
const INVERT = 2u;
const PADDED = 4u;
const WHOLE = 8u;
const SIGMOID = 16u;
const HEATMAP = 32u;
const TABLE = 4096u; // a table makes the grey
const CUBIC = 16384u; // a cubic between values, ...
const SMOOTH = 32768u; // ... that softens them

// The window and the padding; the same in every `View`.
struct Voi {
    // LINEAR and LINEAR_EXACT (PS3.3 C.11.2.1.2.1, C.11.2.1.3.2) as 255 * (2 x + offset) / denominator:
    // black up to `low`, white above `high`.
    low: f32,
    high: f32,
    offset: f32,
    denominator: f32,
    // SIGMOID (C.11.2.1.3.1).
    center: f32,
    width: f32,
    // Inclusive range of values that are padding.
    padding_low: f32,
    padding_high: f32,
    // The same offset and denominator as integers, where they are whole.
    whole_offset: i32,
    whole_denominator: i32,
    // The value of the table's first entry, the number of its last one, and the entry that is white.
    table_first: i32,
    table_last: i32,
    table_white: i32,
    // What follows a structure in a uniform buffer begins at a multiple of 16 bytes.
    spare: i32,
    more_spare: vec2<i32>,
}

// The entries of a VOI LUT (PS3.3 C.11.2.1.1), 256 in a row.
@group(3) @binding(0) var table: texture_2d<i32>;

fn has(flag: u32) -> bool {
    return ((view.flags + nothing) & flag) != 0u;
}

// Told from the bits, because a shader compiler may assume that floats are never NaN.
fn is_nan(bits: i32) -> bool {
    return has(FLOAT_BITS) && (bits & 0x7fffffff) > 0x7f800000;
}

fn value_of(bits: i32) -> f32 {
    if has(FLOAT_BITS) {
        return bitcast<f32>(bits);
    }
    return f32(bits);
}

// Weights of the four values around a place that lies `f` beyond the second. Twin on the CPU: volume::Cubic::weights.
fn cubic_weights(f: f32) -> vec4<f32> {
    let f2 = f * f;
    let f3 = f2 * f;
    if has(SMOOTH) {
        return vec4<f32>(
            1.0 / 18.0 - 0.5 * f + 5.0 / 6.0 * f2 - 7.0 / 18.0 * f3,
            8.0 / 9.0 - 2.0 * f2 + 7.0 / 6.0 * f3,
            1.0 / 18.0 + 0.5 * f + 1.5 * f2 - 7.0 / 6.0 * f3,
            -1.0 / 3.0 * f2 + 7.0 / 18.0 * f3,
        );
    }
    return vec4<f32>(
        -0.5 * f + f2 - 0.5 * f3,
        1.0 - 2.5 * f2 + 1.5 * f3,
        0.5 * f + 2.0 * f2 - 1.5 * f3,
        -0.5 * f2 + 0.5 * f3,
    );
}

// No cubic reaches over it.
fn is_gap(bits: i32) -> bool {
    return is_nan(bits) || is_padding(value_of(bits));
}

// Padding is no measurement.
fn is_padding(value: f32) -> bool {
    return has(PADDED) && value >= view.voi.padding_low && value <= view.voi.padding_high;
}

fn entry(index: i32) -> i32 {
    return textureLoad(table, vec2<i32>(index & 255, index >> 8u), 0).r;
}

// The table's grey level; between two whole values between their entries.
fn tabled(value: f32) -> i32 {
    let first = f32(view.voi.table_first);
    let place = clamp(value, first, f32(view.voi.table_first + view.voi.table_last)) - first;
    let low = floor(place);
    let share = place - low;
    let a = entry(i32(low));
    if share == 0.0 {
        return a * 255 / view.voi.table_white;
    }
    let b = entry(min(i32(low) + 1, view.voi.table_last));
    let between = f32(a) * (1.0 - share) + f32(b) * share;
    return clamp(i32(floor(between * 255.0 / f32(view.voi.table_white))), 0, 255);
}

// Grey level 0..=255 of a value: the floor, as DICOM's formula has it.
fn windowed(value: f32) -> i32 {
    if has(TABLE) {
        return tabled(value);
    }
    if has(SIGMOID) {
        let exponent = clamp(-4.0 * (value - view.voi.center) / view.voi.width, -80.0, 80.0);
        return clamp(i32(floor(255.0 / (1.0 + exp(exponent)))), 0, 255);
    }
    // Whole values in whole windows stay in integers, so that no rounding moves a boundary.
    if has(WHOLE) && value == floor(value) && abs(value) <= 32768.0 {
        let numerator = (2 * i32(value) + view.voi.whole_offset) * 255;
        return clamp(max(numerator, 0) / view.voi.whole_denominator, 0, 255);
    }
    if value <= view.voi.low {
        return 0;
    }
    if value > view.voi.high {
        return 255;
    }
    return clamp(i32(floor((2.0 * value + view.voi.offset) * 255.0 / view.voi.denominator)), 0, 255);
}
