//! A passage of calls as the driver's graph.
//!
//! Recording is capturing: the calls go to the stream once more, which notes them instead of running them. So products get the
//! kernels that cuBLAS chooses for them. Uploads are read from page-locked memory of the graph, whose address it has noted.

use cudarc::driver::{result, sys};

use super::driver::{Driver, Launch, Places};
use super::queue::run;
use super::staged::PageLocked;
use super::{Argument, Call, Graph};
use crate::Error;

/// A graph, ready to be launched.
pub(super) struct Recorded {
    context: sys::CUcontext,
    stream: sys::CUstream,
    graph: sys::CUgraph,
    executable: sys::CUgraphExec,
    /// Of each call: where it is in the graph, if it is a launch.
    launches: Vec<Option<(sys::CUgraphNode, Launch)>>,
    staging: PageLocked,
}

// SAFETY: the driver's handles may be used from any thread that has the context current, which every call sees to.
unsafe impl Send for Recorded {}

impl Recorded {
    /// # Safety
    /// As each of the calls.
    pub(super) unsafe fn new(driver: &Driver, calls: &[Call]) -> Result<Self, Error> {
        driver.bind("recording a graph")?;
        let failed = |e: result::DriverError| Error::call("recording a graph", e);
        let (context, stream) = (driver.context, driver.stream);
        let uploads = calls.iter().map(Call::uploads).sum();
        // SAFETY: the context is current. Whatever fails in between, the capture is ended, and what it noted is destroyed.
        unsafe {
            let mut staging = PageLocked::new(uploads).map_err(failed)?;
            // The host's memory: written now, so that a page that was never touched isn't what is captured.
            staging.bytes().fill(0);
            let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
            result::stream::begin_capture(stream, mode).map_err(failed)?;
            let mut launches = Vec::with_capacity(calls.len());
            let noted = note(driver, calls, staging.bytes(), &mut launches);
            let graph = result::stream::end_capture(stream).map_err(failed)?;
            if let Err(error) = noted {
                let _ = result::graph::destroy(graph);
                return Err(error);
            }
            let none = sys::CUgraphInstantiate_flags(0);
            match result::graph::instantiate(graph, none) {
                Ok(executable) => Ok(Self {
                    context,
                    stream,
                    graph,
                    executable,
                    launches,
                    staging,
                }),
                Err(error) => {
                    let _ = result::graph::destroy(graph);
                    Err(failed(error))
                }
            }
        }
    }

    fn bind(&self) -> Result<(), Error> {
        // SAFETY: the context lives as long as the program.
        unsafe { result::ctx::set_current(self.context) }.map_err(|e| Error::call("a graph", e))
    }
}

/// Lets the driver's stream, which is captured, note `calls`; of launches it is kept where they are.
///
/// # Safety
/// As each of the calls; `bytes` stay where they are as long as the graph.
unsafe fn note(
    driver: &Driver,
    calls: &[Call],
    mut bytes: &[u8],
    launches: &mut Vec<Option<(sys::CUgraphNode, Launch)>>,
) -> Result<(), Error> {
    for call in calls {
        let (these, rest) = bytes.split_at(call.uploads());
        bytes = rest;
        // SAFETY: the caller's.
        let place = unsafe {
            match call {
                // Not through memory that other uploads use too.
                Call::Upload { to, .. } => {
                    result::memcpy_htod_async(*to, these, driver.stream)
                        .map_err(|e| Error::call("recording a graph", e))?;
                    None
                }
                Call::Launch { kernel, grid, .. } => {
                    run(driver, call, these)?;
                    Some((last_noted(driver.stream)?, driver.launch_of(kernel, *grid)))
                }
                _ => {
                    run(driver, call, these)?;
                    None
                }
            }
        };
        launches.push(place);
    }
    Ok(())
}

/// What a stream that is captured noted last.
///
/// # Safety
/// The stream is captured.
unsafe fn last_noted(stream: sys::CUstream) -> Result<sys::CUgraphNode, Error> {
    let mut status = sys::CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE;
    let (mut id, mut graph, mut count) = (0, std::ptr::null_mut(), 0);
    let (mut nodes, mut edges) = (std::ptr::null(), std::ptr::null());
    // SAFETY: everything is written to variables of ours; the nodes are the driver's, read before the next call.
    unsafe {
        sys::cuStreamGetCaptureInfo_v3(
            stream,
            &mut status,
            &mut id,
            &mut graph,
            &mut nodes,
            // Asked for, though unused: the driver refuses to leave out what edges of cuBLAS's kernels say.
            &mut edges,
            &mut count,
        )
        .result()
        .map_err(|e| Error::call("recording a graph", e))?;
        // One stream: whatever comes next depends on the last call alone.
        match (count, nodes.is_null()) {
            (1, false) => Ok(*nodes),
            _ => Err(Error::call("recording a graph", format!("{count} ends"))),
        }
    }
}

impl Graph for Recorded {
    unsafe fn set(&mut self, at: usize, arguments: &[Argument]) -> Result<(), Error> {
        self.bind()?;
        let Some((node, launch)) = &self.launches[at] else {
            return Err(Error::call("changing a graph", "this is no kernel"));
        };
        let mut places = Places::new(arguments);
        let parameters = launch.parameters(&mut places);
        // SAFETY: the caller's; the driver copies the arguments before it returns.
        unsafe { sys::cuGraphExecKernelNodeSetParams_v2(self.executable, *node, &parameters) }
            .result()
            .map_err(|e| Error::call("changing a graph", e))
    }

    unsafe fn launch(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.bind()?;
        self.staging.bytes().copy_from_slice(bytes);
        // SAFETY: the caller's.
        unsafe { result::graph::launch(self.executable, self.stream) }
            .map_err(|e| Error::call("launching a graph", e))
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        if self.bind().is_ok() {
            // SAFETY: both were made here and were waited for. A failure costs memory and nothing else.
            unsafe {
                let _ = result::graph::exec_destroy(self.executable);
                let _ = result::graph::destroy(self.graph);
            }
        }
    }
}
