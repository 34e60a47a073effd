//! The NVIDIA driver: a device with its compiled kernels, and streams on it.
//!
//! The driver's library is opened when it is first asked for, never linked: the
//! program starts on machines without one. Every call of the driver sets this
//! thread's context first, since any worker may come.

#![allow(unsafe_code, reason = "the driver's interface is C")]

use std::{
    collections::HashMap,
    ffi::{CString, c_void},
    sync::Arc,
    time::Duration,
};

use cudarc::driver::{
    DriverError,
    result::{self, stream::StreamKind},
    sys,
};

use super::{
    CudaError, GpuPrecision, Launch, Queue, Recorded,
    device::by_the_clock,
    kernels::compile::{self, Job},
    kernels::sources::SOURCES,
};

/// The oldest driver whose functions are used: CUDA 12.0.
const NEEDED: i32 = 12_000;

/// The oldest driver that tells the time between two events as it is asked to
/// here: CUDA 12.8.
const TELLS_TIME: i32 = 12_080;

/// Bytes of shared memory that a block gets without asking.
const PLAIN_SHARED: usize = 48 << 10;

/// Bytes of shared memory that a block may ask for, on any device of compute
/// capability 8.0 or more.
const MOST_SHARED: i32 = 96 << 10;

/// Counts the devices.
pub fn count() -> Result<usize, CudaError> {
    // Where candle's backend is built in, the library is linked, and there.
    #[cfg(not(feature = "candle-cuda"))]
    // SAFETY: it only tries to open the library.
    if !unsafe { sys::is_culib_present() } {
        return Err(CudaError::NoDriver);
    }
    match result::init() {
        Ok(()) => {}
        Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => return Ok(0),
        Err(error) => return Err(said("cuInit")(error)),
    }
    Ok(result::device::get_count().map_err(said("cuDeviceGetCount"))? as usize)
}

/// The version of CUDA that the driver supports.
fn version() -> Result<i32, CudaError> {
    let mut version = 0;
    // SAFETY: the library is there, and writes one int.
    unsafe { sys::cuDriverGetVersion(&mut version) }
        .result()
        .map_err(said("cuDriverGetVersion"))?;
    Ok(version)
}

/// The newest major version of CUDA whose binaries the driver takes.
pub fn newest() -> Result<i32, CudaError> {
    count()?;
    Ok(version()? / 1000)
}

/// A device, its context and the kernels loaded into it.
pub struct Device {
    device: sys::CUdevice,
    context: sys::CUcontext,
    modules: Vec<sys::CUmodule>,
    functions: HashMap<&'static str, sys::CUfunction>,
    name: String,
    capability: (i32, i32),
    memory: usize,
}

// SAFETY: handles may be used from any thread that sets the context first.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

/// A device that can be opened.
struct Usable {
    device: sys::CUdevice,
    name: String,
    capability: (i32, i32),
    /// The newest major version of CUDA whose binaries the driver takes.
    newest: i32,
}

impl Usable {
    /// Looks at a device, the driver and the compiler; opens nothing.
    fn look(index: usize) -> Result<Self, CudaError> {
        let count = count()?;
        if index >= count {
            return Err(CudaError::NoDevice { index, count });
        }
        let found = version()?;
        let newest = newest()?;
        let needed = NEEDED.max(compile::version(newest)?.0 * 1000);
        if found < needed {
            return Err(CudaError::DriverTooOld { found, needed });
        }
        let device = result::device::get(index as i32).map_err(said("cuDeviceGet"))?;
        let name = result::device::get_name(device).map_err(said("cuDeviceGetName"))?;
        let attribute = |attribute| {
            // SAFETY: the device was given by the driver.
            unsafe { result::device::get_attribute(device, attribute) }
                .map_err(said("cuDeviceGetAttribute"))
        };
        use sys::CUdevice_attribute as Attribute;
        let capability = (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        );
        if capability < (8, 0) {
            return Err(CudaError::DeviceTooOld { index, name, found: capability });
        }
        Ok(Self { device, name, capability, newest })
    }
}

/// Whether device `index` could be opened, as far as can be told beforehand.
pub fn usable(index: usize) -> Result<(), CudaError> {
    Usable::look(index).map(drop)
}

impl Device {
    /// Opens a device and loads the kernels of a precision.
    pub fn open(index: usize, precision: GpuPrecision) -> Result<Self, CudaError> {
        let Usable { device, name, capability, newest } = Usable::look(index)?;
        // SAFETY: the device was given by the driver; released when dropped.
        let (context, memory) = unsafe {
            // Threads that wait leave their core to those that decode. Where
            // the context is in use with other flags it stays as it is.
            let flags = sys::CUctx_flags_enum::CU_CTX_SCHED_BLOCKING_SYNC as u32;
            let _ = sys::cuDevicePrimaryCtxSetFlags_v2(device, flags);
            let memory = result::device::total_mem(device).map_err(said("cuDeviceTotalMem"))?;
            let context =
                result::primary_ctx::retain(device).map_err(said("cuDevicePrimaryCtxRetain"))?;
            (context, memory)
        };
        let (modules, functions) = (Vec::new(), HashMap::new());
        let mut opened = Self { device, context, modules, functions, name, capability, memory };
        opened.bind()?;
        for source in SOURCES.iter().filter(|source| source.serves(precision)) {
            let job = Job::new(source, precision, capability, newest)?;
            let loads = |binary: Vec<u8>| opened.load(&binary, source.kernels).is_ok();
            if !job.kept().is_some_and(loads) {
                opened.load(&job.compile()?, source.kernels)?;
            }
        }
        Ok(opened)
    }

    /// For a person.
    pub fn description(&self) -> String {
        let (major, minor) = self.capability;
        let gigabytes = self.memory as f64 / f64::from(1 << 30);
        format!("{}, compute capability {major}.{minor}, {gigabytes:.0} GiB", self.name)
    }

    fn load(&mut self, binary: &[u8], kernels: &[&'static str]) -> Result<(), CudaError> {
        // SAFETY: a whole binary of the compiler; modules stay loaded as long
        // as this device.
        unsafe {
            let module = result::module::load_data(binary.as_ptr().cast())
                .map_err(said("cuModuleLoadData"))?;
            self.modules.push(module);
            for kernel in kernels {
                let name = CString::new(*kernel).expect("names of kernels hold no zero");
                let function = result::module::get_function(module, name)
                    .map_err(|_| CudaError::NoKernel((*kernel).to_owned()))?;
                let limit =
                    sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
                let mut declared = 0;
                let of = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES;
                sys::cuFuncGetAttribute(&mut declared, of, function)
                    .result()
                    .map_err(said("cuFuncGetAttribute"))?;
                result::function::set_function_attribute(function, limit, MOST_SHARED - declared)
                    .map_err(said("cuFuncSetAttribute"))?;
                self.functions.insert(kernel, function);
            }
        }
        Ok(())
    }

    fn bind(&self) -> Result<(), CudaError> {
        // SAFETY: the context is retained.
        unsafe { result::ctx::set_current(self.context) }.map_err(said("cuCtxSetCurrent"))
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // The context is the whole process's: while another holds it, what was loaded for
        // this device would stay.
        if self.bind().is_ok() {
            for module in self.modules.drain(..) {
                // SAFETY: loaded above and unloaded once; streams hold the device, so they
                // are gone, and have waited for their kernels. An error means that the
                // device is gone.
                let _ = unsafe { result::module::unload(module) };
            }
        }
        // SAFETY: retained once; streams hold the device, so they are gone.
        // An error means that the device is gone too.
        let _ = unsafe { result::primary_ctx::release(self.device) };
    }
}

/// A stream of a device.
pub struct Stream {
    device: Arc<Device>,
    stream: sys::CUstream,
}

// SAFETY: as for the device.
unsafe impl Send for Stream {}
// SAFETY: as for the device.
unsafe impl Sync for Stream {}

impl Stream {
    /// A stream that waits for no other.
    pub fn new(device: &Arc<Device>) -> Result<Self, CudaError> {
        device.bind()?;
        let stream =
            result::stream::create(StreamKind::NonBlocking).map_err(said("cuStreamCreate"))?;
        Ok(Self { device: Arc::clone(device), stream })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.device.bind().is_ok() {
            // SAFETY: created above and destroyed once, with nothing under way. An error
            // means that the device is gone.
            let _ = unsafe { result::stream::synchronize(self.stream) };
            // SAFETY: as above.
            let _ = unsafe { result::stream::destroy(self.stream) };
        }
    }
}

impl Queue for Stream {
    fn allocate(&self, bytes: usize) -> Result<u64, CudaError> {
        self.device.bind()?;
        // SAFETY: given back by `free`; its users write before they read.
        unsafe { result::malloc_sync(bytes) }.map_err(out_of(bytes, "cuMemAlloc"))
    }

    fn free(&self, address: u64) {
        if self.device.bind().is_ok() {
            // SAFETY: allocated above. It waits for the work under way; an
            // error means that the device is gone, and the memory with it.
            let _ = unsafe { result::free_sync(address) };
        }
    }

    fn allocate_host(&self, bytes: usize) -> Result<*mut u8, CudaError> {
        self.device.bind()?;
        // SAFETY: given back by `free_host`.
        let address = unsafe { result::malloc_host(bytes, sys::CU_MEMHOSTALLOC_PORTABLE) };
        Ok(address.map_err(out_of(bytes, "cuMemHostAlloc"))?.cast())
    }

    fn free_host(&self, address: *mut u8) {
        if self.device.bind().is_ok() {
            // SAFETY: allocated above; as in `free`.
            let _ = unsafe { result::free_host(address.cast()) };
        }
    }

    unsafe fn upload(&self, to: u64, from: *const u8, bytes: usize) -> Result<(), CudaError> {
        self.device.bind()?;
        // SAFETY: the caller's promise.
        unsafe {
            sys::cuMemcpyHtoDAsync_v2(to, from.cast(), bytes, self.stream)
                .result()
                .map_err(said("cuMemcpyHtoDAsync"))
        }
    }

    unsafe fn download(&self, to: *mut u8, from: u64, bytes: usize) -> Result<(), CudaError> {
        self.device.bind()?;
        // SAFETY: the caller's promise.
        unsafe {
            sys::cuMemcpyDtoHAsync_v2(to.cast(), from, bytes, self.stream)
                .result()
                .map_err(said("cuMemcpyDtoHAsync"))
        }
    }

    fn fill(&self, at: u64, bytes: usize, value: u8) -> Result<(), CudaError> {
        self.device.bind()?;
        // SAFETY: inside a buffer, as all addresses that are passed here.
        unsafe { result::memset_d8_async(at, value, bytes, self.stream) }
            .map_err(said("cuMemsetD8Async"))
    }

    fn launch(&self, launch: &Launch, arguments: &[u64]) -> Result<(), CudaError> {
        let Launch { kernel, grid: [gx, gy, gz], block: [bx, by, bz], shared } = *launch;
        let Some(&function) = self.device.functions.get(kernel) else {
            return Err(CudaError::NoKernel(kernel.to_owned()));
        };
        debug_assert!(shared <= PLAIN_SHARED || shared <= MOST_SHARED as usize);
        let mut pointers: Vec<*mut c_void> =
            arguments.iter().map(|word| std::ptr::from_ref(word).cast_mut().cast()).collect();
        self.device.bind()?;
        // SAFETY: the function is of a module that stays loaded; arguments are
        // copied by the call and fit the kernel, as its callers see to.
        unsafe {
            result::launch_kernel(
                function,
                (gx, gy, gz),
                (bx, by, bz),
                shared as u32,
                self.stream,
                &mut pointers,
            )
        }
        .map_err(said("cuLaunchKernel"))
    }

    fn finish(&self) -> Result<(), CudaError> {
        self.device.bind()?;
        // SAFETY: the stream lives.
        unsafe { result::stream::synchronize(self.stream) }.map_err(said("cuStreamSynchronize"))
    }

    fn time(&self, work: &mut dyn FnMut() -> Result<(), CudaError>) -> Result<Duration, CudaError> {
        if version()? < TELLS_TIME {
            return by_the_clock(self, work);
        }
        self.finish()?;
        let events = [Event::new(&self.device)?, Event::new(&self.device)?];
        events[0].record(self.stream)?;
        work()?;
        events[1].record(self.stream)?;
        self.finish()?;
        // SAFETY: both live, and were recorded and waited for.
        let milliseconds = unsafe { result::event::elapsed(events[0].event, events[1].event) }
            .map_err(said("cuEventElapsedTime"))?;
        Ok(Duration::from_secs_f64(f64::from(milliseconds.max(0.0)) / 1e3))
    }

    fn record(
        &self,
        work: &mut dyn FnMut() -> Result<(), CudaError>,
    ) -> Result<Option<Box<dyn Recorded>>, CudaError> {
        self.device.bind()?;
        // Other threads go on allocating on other streams meanwhile.
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream lives; the graph is destroyed once it has been
        // made executable.
        unsafe {
            result::stream::begin_capture(self.stream, mode)
                .map_err(said("cuStreamBeginCapture"))?;
            let worked = work();
            let ended = result::stream::end_capture(self.stream);
            let graph = match (worked, ended) {
                (Ok(()), ended) => ended.map_err(said("cuStreamEndCapture"))?,
                (Err(error), ended) => {
                    // What was recorded so far is of no use; the error is told.
                    let _ = ended.map(|graph| result::graph::destroy(graph));
                    return Err(error);
                }
            };
            let mut executable = std::ptr::null_mut();
            let made = sys::cuGraphInstantiateWithFlags(&mut executable, graph, 0).result();
            let destroyed = result::graph::destroy(graph);
            made.map_err(said("cuGraphInstantiate"))?;
            let recorded =
                Graph { device: Arc::clone(&self.device), stream: self.stream, executable };
            destroyed.map_err(said("cuGraphDestroy"))?;
            Ok(Some(Box::new(recorded)))
        }
    }
}

/// A moment on the device.
struct Event {
    device: Arc<Device>,
    event: sys::CUevent,
}

impl Event {
    /// The device is this thread's.
    fn new(device: &Arc<Device>) -> Result<Self, CudaError> {
        let event = result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT)
            .map_err(said("cuEventCreate"))?;
        Ok(Self { device: Arc::clone(device), event })
    }

    fn record(&self, stream: sys::CUstream) -> Result<(), CudaError> {
        // SAFETY: both live.
        unsafe { result::event::record(self.event, stream) }.map_err(said("cuEventRecord"))
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if self.device.bind().is_ok() {
            // SAFETY: created above and destroyed once. An error means that the
            // device is gone.
            let _ = unsafe { result::event::destroy(self.event) };
        }
    }
}

/// A recorded sequence. Whoever holds it holds its stream too.
struct Graph {
    device: Arc<Device>,
    stream: sys::CUstream,
    executable: sys::CUgraphExec,
}

// SAFETY: as for the device.
unsafe impl Send for Graph {}
// SAFETY: as for the device.
unsafe impl Sync for Graph {}

impl Recorded for Graph {
    fn repeat(&self) -> Result<(), CudaError> {
        self.device.bind()?;
        // SAFETY: both live.
        unsafe { result::graph::launch(self.executable, self.stream) }
            .map_err(said("cuGraphLaunch"))
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        if self.device.bind().is_ok() {
            // SAFETY: made above and destroyed once; an error means that the
            // device is gone.
            let _ = unsafe { result::graph::exec_destroy(self.executable) };
        }
    }
}

/// For `map_err`: what the driver said of a call.
fn said(call: &'static str) -> impl FnOnce(DriverError) -> CudaError {
    use sys::CUresult as Code;
    move |error| {
        let text = match error.error_string() {
            Ok(text) => text.to_string_lossy().into_owned(),
            Err(_) => format!("{:?}", error.0),
        };
        match error.0 {
            Code::CUDA_ERROR_ECC_UNCORRECTABLE
            | Code::CUDA_ERROR_NVLINK_UNCORRECTABLE
            | Code::CUDA_ERROR_ILLEGAL_ADDRESS
            | Code::CUDA_ERROR_LAUNCH_TIMEOUT
            | Code::CUDA_ERROR_CONTEXT_IS_DESTROYED
            | Code::CUDA_ERROR_ASSERT
            | Code::CUDA_ERROR_HARDWARE_STACK_ERROR
            | Code::CUDA_ERROR_ILLEGAL_INSTRUCTION
            | Code::CUDA_ERROR_MISALIGNED_ADDRESS
            | Code::CUDA_ERROR_INVALID_ADDRESS_SPACE
            | Code::CUDA_ERROR_INVALID_PC
            | Code::CUDA_ERROR_LAUNCH_FAILED
            | Code::CUDA_ERROR_DEINITIALIZED
            | Code::CUDA_ERROR_DEVICE_UNAVAILABLE
            | Code::CUDA_ERROR_UNKNOWN => CudaError::Lost { call, text },
            _ => CudaError::Driver { call, text },
        }
    }
}

/// The same of a call that takes memory.
fn out_of(bytes: usize, call: &'static str) -> impl FnOnce(DriverError) -> CudaError {
    move |error| match error.0 {
        sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => CudaError::OutOfMemory { bytes },
        _ => said(call)(error),
    }
}
