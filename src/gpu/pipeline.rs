//! The view pipeline: layouts and shader, built once per device and target format, never changed.
//! Shaders: `shaders/slice.wgsl` with `shaders/heatmap.wgsl`, `shaders/heat.wgsl`,
//! `shaders/display.wgsl` and `shaders/target.wgsl`. CPU twin: [`crate::view::raster`].

use super::uniforms::ViewUniforms;

/// The shader as the device gets it. WGSL has no include, and declarations may stand in any order.
pub const SHADER: &str = concat!(
    include_str!("../../shaders/slice.wgsl"),
    "\n",
    include_str!("../../shaders/heatmap.wgsl"),
    "\n",
    include_str!("../../shaders/heat.wgsl"),
    "\n",
    include_str!("../../shaders/display.wgsl"),
    "\n",
    include_str!("../../shaders/target.wgsl")
);

/// Built once, never changed.
pub struct ViewPipeline {
    pub pipeline: wgpu::RenderPipeline,
    /// Group 0: uniforms and axes of one view.
    pub view_layout: wgpu::BindGroupLayout,
    /// Groups 1 to 3: the slice, the map and the table of the window.
    pub texture_layout: wgpu::BindGroupLayout,
}

impl ViewPipeline {
    /// For plain colour targets of `format`. An sRGB format gets the same bytes as one without transfer function.
    pub fn new(device: &wgpu::Device, format: wgpu::TextureFormat) -> Self {
        let view_layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("view"),
            entries: &[uniform_entry(0), texture_entry(1)],
        });
        let texture_layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("view texture"),
            entries: &[texture_entry(0)],
        });
        let groups = [Some(&view_layout), Some(&texture_layout), Some(&texture_layout), Some(&texture_layout)];
        let pipeline = render_pipeline(device, format, "view", SHADER, &groups);
        Self { pipeline, view_layout, texture_layout }
    }
}

/// One triangle over the viewport, coloured by the shader's fragment part.
pub fn render_pipeline(
    device: &wgpu::Device,
    format: wgpu::TextureFormat,
    label: &str,
    shader: &str,
    groups: &[Option<&wgpu::BindGroupLayout>],
) -> wgpu::RenderPipeline {
    let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(label),
        bind_group_layouts: groups,
        immediate_size: 0,
    });
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(label),
        source: wgpu::ShaderSource::Wgsl(shader.into()),
    });
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some(label),
        layout: Some(&layout),
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: Some("vs_main"),
            buffers: &[],
            compilation_options: Default::default(),
        },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: Some(if format.is_srgb() { "fs_srgb" } else { "fs_display" }),
            targets: &[Some(format.into())],
            compilation_options: Default::default(),
        }),
        multiview_mask: None,
        cache: None,
    })
}

fn uniform_entry(binding: u32) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::FRAGMENT,
        ty: wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Uniform,
            has_dynamic_offset: false,
            min_binding_size: std::num::NonZeroU64::new(size_of::<ViewUniforms>() as u64),
        },
        count: None,
    }
}

fn texture_entry(binding: u32) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::FRAGMENT,
        ty: wgpu::BindingType::Texture {
            sample_type: wgpu::TextureSampleType::Sint,
            view_dimension: wgpu::TextureViewDimension::D2,
            multisampled: false,
        },
        count: None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::view::colormap;

    fn module(shader: &str) -> naga::Module {
        let module = naga::front::wgsl::parse_str(shader).expect("the shader parses");
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::empty())
            .validate(&module)
            .expect("the shader is valid without any optional capability");
        module
    }

    /// Name and place of fields.
    macro_rules! offsets {
        ($of:ty, $($field:ident),*) => {
            [$((stringify!($field), std::mem::offset_of!($of, $field))),*]
        };
    }
    pub(in crate::gpu) use offsets;

    /// A structure of a shader has these members at these places.
    #[track_caller]
    pub(in crate::gpu) fn check_layout(shader: &str, name: &str, bytes: usize, ours: &[(&str, usize)]) {
        let module = module(shader);
        let (_, found) = module.types.iter().find(|(_, t)| t.name.as_deref() == Some(name)).expect(name);
        let naga::TypeInner::Struct { members, span } = &found.inner else { panic!("{name} is a struct") };
        assert_eq!(*span as usize, bytes, "{name}");
        let theirs: Vec<(&str, usize)> =
            members.iter().map(|m| (m.name.as_deref().unwrap_or(""), m.offset as usize)).collect();
        assert_eq!(theirs, ours, "{name}");
    }

    #[test]
    fn the_uniforms_lie_as_the_shader_reads_them() {
        use super::super::uniforms::VoiUniforms;
        let view = offsets!(
            ViewUniforms,
            origin_px,
            image_size,
            cam_size,
            neighbour,
            flags,
            voi,
            cam_maximum,
            opacity,
            size_px
        );
        check_layout(SHADER, "View", size_of::<ViewUniforms>(), &view);
        let voi = offsets!(
            VoiUniforms,
            low,
            high,
            offset,
            denominator,
            center,
            width,
            padding_low,
            padding_high,
            whole_offset,
            whole_denominator,
            table_first,
            table_last,
            table_white,
            spare,
            more_spare
        );
        check_layout(SHADER, "Voi", size_of::<VoiUniforms>(), &voi);
    }

    #[test]
    fn the_flags_are_the_shaders() {
        use super::super::uniforms as u;
        for (name, bit) in [
            ("FLOAT_BITS", u::FLOAT_BITS),
            ("INVERT", u::INVERT),
            ("PADDED", u::PADDED),
            ("WHOLE", u::WHOLE),
            ("SIGMOID", u::SIGMOID),
            ("HEATMAP", u::HEATMAP),
            ("TABLE", u::TABLE),
            ("CELLS", u::CELLS),
            ("OUTLINE", u::OUTLINE),
        ] {
            assert!(SHADER.contains(&format!("const {name} = {bit}u;")), "{name}");
        }
    }

    #[test]
    fn the_ramp_is_the_colormaps() {
        let table = SHADER.split_once("const RAMP").expect("the shader has the ramp").1;
        let table = table.split_once(");\n\n").expect("the ramp ends").0;
        let numbers: Vec<f32> =
            table.split(|c: char| !(c.is_ascii_digit() || c == '.')).filter_map(|word| word.parse().ok()).collect();
        // Skips the digits of "vec3<f32>, 6" and of each "vec3<f32>".
        let colours: Vec<f32> = numbers.into_iter().filter(|v| *v < 1.0).collect();
        assert_eq!(colours, colormap::RAMP.concat());
        let [r, g, b] = colormap::OUTLINE;
        assert!(SHADER.contains(&format!("OUTLINE_COLOUR = vec3<f32>({r:.2}, {g:.2}, {b:.2});")));
        assert!(SHADER.contains(&format!("OUTLINE_SHARE = {:.1};", crate::view::OUTLINE_SHARE)));
    }
}
