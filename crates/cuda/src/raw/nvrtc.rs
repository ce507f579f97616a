//! Kernels' text to machine code, through NVRTC; needs the library and no GPU.

use std::ffi::CString;

use cudarc::nvrtc::result::{compile_program, create_program, destroy_program, get_program_log};
use cudarc::nvrtc::sys;

use super::library;
use crate::Error;

/// Machine code (a cubin) of `source` for an architecture as `sm_90`.
///
/// # Errors
/// If NVRTC is not there, doesn't know the architecture or refuses the source; then with its words.
pub fn compile(source: &str, architecture: &str) -> Result<Vec<u8>, Error> {
    library::need_nvrtc()?;
    let failed = |e: &dyn std::fmt::Display| Error::call("compiling kernels", e);
    let text = CString::new(source).map_err(|e| failed(&e))?;
    let program = create_program(&text, Some(c"neuraltalk.cu")).map_err(|e| failed(&e))?;
    // Division and square root as IEEE has them, and no flags that change sums: the CPU is the oracle.
    let options = [
        format!("--gpu-architecture={architecture}"),
        "--std=c++17".to_owned(),
    ];
    // SAFETY: the program was just made, is destroyed once, at the end, and the buffer is as long as NVRTC says.
    unsafe {
        let compiled = compile_program(program, &options);
        let result = match compiled {
            Ok(()) => machine_code(program).map_err(|e| failed(&e)),
            Err(error) => {
                let log =
                    get_program_log(program).map(|log| log.iter().map(|&c| c as u8).collect());
                let log = String::from_utf8_lossy(&log.unwrap_or_else(|_: _| Vec::new()))
                    .trim_end_matches('\0')
                    .to_owned();
                Err(Error::Compile {
                    architecture: architecture.to_owned(),
                    log: format!("{error}\n{log}"),
                })
            }
        };
        destroy_program(program).map_err(|e| failed(&e))?;
        result
    }
}

/// # Safety
/// The program is compiled for a real architecture.
unsafe fn machine_code(
    program: sys::nvrtcProgram,
) -> Result<Vec<u8>, cudarc::nvrtc::result::NvrtcError> {
    // SAFETY: the caller's, and the buffer has the size that was asked for.
    unsafe {
        let mut size = 0;
        sys::nvrtcGetCUBINSize(program, &mut size).result()?;
        let mut code = vec![0u8; size];
        sys::nvrtcGetCUBIN(program, code.as_mut_ptr().cast()).result()?;
        Ok(code)
    }
}

/// NVRTC's version, major and minor.
///
/// # Errors
/// If it is not there.
pub(super) fn version() -> Result<(i32, i32), Error> {
    library::need_nvrtc()?;
    let (mut major, mut minor) = (0, 0);
    // SAFETY: two numbers to write to.
    unsafe { sys::nvrtcVersion(&mut major, &mut minor) }
        .result()
        .map_err(|e| Error::call("asking NVRTC for its version", e))?;
    Ok((major, minor))
}
