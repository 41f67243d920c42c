// Shows a picture that was drawn into a texture of its own, in whatever size the view has by now.
// Compiled together with target.wgsl.

struct View {
    // The view's corner and size in the target's pixels.
    origin_px: vec2<f32>,
    size_px: vec2<f32>,
}

@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var picture: texture_2d<f32>;
@group(0) @binding(2) var linear: sampler;

fn display_value(position: vec4<f32>) -> vec3<f32> {
    return textureSampleLevel(picture, linear, (position.xy - view.origin_px) / view.size_px, 0.0).rgb;
}
