//! Every kernel compiles for real GPUs. NVRTC needs no GPU for that; where it isn't found, the test says so and ends.
//!
//! NEURALTALK_CUDA_LIBRARIES names a folder with NVRTC (`pip install nvidia-cuda-nvrtc` brings one).

fn nvrtc_is_there() -> bool {
    cuda::look().expect("NEURALTALK_CUDA_LIBRARIES is a folder with libraries");
    match cuda::raw::compile("", "sm_80") {
        Err(cuda::Error::NoLibrary(name)) => {
            println!("skipped: {name} is not found; NEURALTALK_CUDA_LIBRARIES may name its folder");
            false
        }
        _ => true,
    }
}

#[test]
fn all_kernels_compile_for_ampere_and_hopper() {
    if !nvrtc_is_there() {
        return;
    }
    for architecture in ["sm_80", "sm_90"] {
        let code = cuda::raw::compile(&cuda::kernels::source(), architecture);
        let code = code.unwrap_or_else(|e| panic!("{architecture}: {e}"));
        let text = String::from_utf8_lossy(&code);
        for name in cuda::kernels::NAMES {
            assert!(
                text.contains(&format!(".text.{name}\0")),
                "{name} for {architecture}"
            );
        }
    }
}

#[test]
fn a_mistake_is_shown_in_the_compilers_words() {
    if !nvrtc_is_there() {
        return;
    }
    let error =
        cuda::raw::compile("__global__ void f() { nonsense; }", "sm_80").expect_err("a mistake");
    assert!(
        error.to_string().contains("\"nonsense\" is undefined"),
        "{error}"
    );
    let error = cuda::raw::compile("", "sm_1").expect_err("no such GPU");
    assert!(error.to_string().contains("sm_1"), "{error}");
}

/// The list of names is the list of kernels, and the text is what the emulator and NVRTC both understand.
#[test]
fn the_list_of_kernels_is_complete() {
    let source = cuda::kernels::source();
    let mut found: Vec<&str> = source
        .split("extern \"C\" __global__ void ")
        .skip(1)
        .map(|rest| rest.split('(').next().expect("a name"))
        .collect();
    found.sort_unstable();
    assert_eq!(found, cuda::kernels::NAMES);
    assert!(
        !source.contains("#include"),
        "NVRTC has no headers without a toolkit"
    );
}
