//! The fax machine of libspandsp, behind an interface that is safe to use.
//!
//! The library is found when it is needed, so the program starts where it is not installed.
//! It is C that reads what strangers send: only the process of [`super::worker`] uses it.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::marker::PhantomData;
use std::path::Path;
use std::ptr::NonNull;

use libloading::Library;

/// The library with the interface that is used here; another has another number.
pub const NAME: &str = "libspandsp.so.2";

/// Samples of audio in a tick of the machine's clock: 20 ms at 8,000 a second.
pub const TICK_SAMPLES: u16 = 160;

// From t38_terminal.h, t30.h and t30_fcf.h of libspandsp 0.0.6.
const OPTION_NO_PACING: c_int = 0x01;
const OPTION_REGULAR_INDICATORS: c_int = 0x02;
const OPTION_2S_REPEATING_INDICATORS: c_int = 0x04;
const MODEM_V27TER: c_int = 0x01;
const MODEM_V29: c_int = 0x02;
const MODEM_V17: c_int = 0x04;
const COMPRESSION_T4_1D: c_int = 0x02;
const COMPRESSION_T4_2D: c_int = 0x04;
const COMPRESSION_T6: c_int = 0x08;
const CODING_T6: c_int = 3;
const RESOLUTIONS: c_int = 0x01 | 0x02 | 0x04 | 0x2_0000 | 0x4_0000;
const IMAGE_SIZES: c_int =
    0x01 | 0x02 | 0x04 | 0x1_0000 | 0x2_0000 | 0x4_0000 | 0x8_0000 | 0x10_0000;
/// The longest identification of a machine (ITU-T T.30, 5.3.6.2.4 and the like).
const IDENTIFICATION_MAX_CHARS: usize = 20;
/// More words than any version of the library writes of its statistics.
const STATISTICS_WORDS: usize = 64;
/// The most times that one packet is to be sent at once.
const REPEATS_MAX: u8 = 4;
/// The longest packet that the library makes, with room to spare.
const PACKET_MAX_OCTETS: usize = 1_024;

type TxPacket = unsafe extern "C" fn(*mut c_void, *mut c_void, *const u8, c_int, c_int) -> c_int;
type PhaseD = unsafe extern "C" fn(*mut c_void, *mut c_void, c_int) -> c_int;
type PhaseE = unsafe extern "C" fn(*mut c_void, *mut c_void, c_int);

/// Each function as the headers declare it.
struct Functions {
    init: unsafe extern "C" fn(*mut c_void, c_int, TxPacket, *mut c_void) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void) -> c_int,
    send_timeout: unsafe extern "C" fn(*mut c_void, c_int) -> c_int,
    set_config: unsafe extern "C" fn(*mut c_void, c_int),
    t30_state: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
    core_state: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
    set_bit_rate: unsafe extern "C" fn(*mut c_void, c_int),
    receive: unsafe extern "C" fn(*mut c_void, *const u8, c_int, u16) -> c_int,
    set_tx_file: unsafe extern "C" fn(*mut c_void, *const c_char, c_int, c_int),
    set_rx_file: unsafe extern "C" fn(*mut c_void, *const c_char, c_int),
    set_tx_ident: unsafe extern "C" fn(*mut c_void, *const c_char) -> c_int,
    set_tx_subaddress: unsafe extern "C" fn(*mut c_void, *const c_char) -> c_int,
    set_ecm: unsafe extern "C" fn(*mut c_void, c_int) -> c_int,
    set_modems: unsafe extern "C" fn(*mut c_void, c_int) -> c_int,
    set_compressions: unsafe extern "C" fn(*mut c_void, c_int) -> c_int,
    set_coding: unsafe extern "C" fn(*mut c_void, c_int) -> c_int,
    set_resolutions: unsafe extern "C" fn(*mut c_void, c_int) -> c_int,
    set_sizes: unsafe extern "C" fn(*mut c_void, c_int) -> c_int,
    on_phase_d: unsafe extern "C" fn(*mut c_void, PhaseD, *mut c_void),
    on_phase_e: unsafe extern "C" fn(*mut c_void, PhaseE, *mut c_void),
    statistics: unsafe extern "C" fn(*mut c_void, *mut c_int),
    code_text: unsafe extern "C" fn(c_int) -> *const c_char,
    rx_ident: unsafe extern "C" fn(*mut c_void) -> *const c_char,
    terminate: unsafe extern "C" fn(*mut c_void),
}

/// The library, loaded.
pub struct Spandsp {
    functions: Functions,
    _library: Library,
}

impl Spandsp {
    /// Loads it.
    ///
    /// # Errors
    ///
    /// When it is not installed, or is not the library that it should be.
    pub fn load() -> io::Result<Self> {
        // SAFETY: what runs when it is loaded is that of a Debian library; the name has the
        // number of its interface, which the types above are written from.
        let library = unsafe { Library::new(NAME) }.map_err(|_| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("{NAME} is not installed; Debian has it as libspandsp2"),
            )
        })?;
        macro_rules! function {
            ($name:literal) => {{
                // SAFETY: each field of `Functions` has the type that the header declares for
                // this name, and `_library` lives as long as the pointer.
                *unsafe { library.get($name) }.map_err(io::Error::other)?
            }};
        }
        let functions = Functions {
            init: function!(b"t38_terminal_init\0"),
            free: function!(b"t38_terminal_free\0"),
            send_timeout: function!(b"t38_terminal_send_timeout\0"),
            set_config: function!(b"t38_terminal_set_config\0"),
            t30_state: function!(b"t38_terminal_get_t30_state\0"),
            core_state: function!(b"t38_terminal_get_t38_core_state\0"),
            set_bit_rate: function!(b"t38_set_fastest_image_data_rate\0"),
            receive: function!(b"t38_core_rx_ifp_packet\0"),
            set_tx_file: function!(b"t30_set_tx_file\0"),
            set_rx_file: function!(b"t30_set_rx_file\0"),
            set_tx_ident: function!(b"t30_set_tx_ident\0"),
            set_tx_subaddress: function!(b"t30_set_tx_sub_address\0"),
            set_ecm: function!(b"t30_set_ecm_capability\0"),
            set_modems: function!(b"t30_set_supported_modems\0"),
            set_compressions: function!(b"t30_set_supported_compressions\0"),
            set_coding: function!(b"t30_set_rx_encoding\0"),
            set_resolutions: function!(b"t30_set_supported_resolutions\0"),
            set_sizes: function!(b"t30_set_supported_image_sizes\0"),
            on_phase_d: function!(b"t30_set_phase_d_handler\0"),
            on_phase_e: function!(b"t30_set_phase_e_handler\0"),
            statistics: function!(b"t30_get_transfer_statistics\0"),
            code_text: function!(b"t30_completion_code_to_str\0"),
            rx_ident: function!(b"t30_get_rx_ident\0"),
            terminate: function!(b"t30_terminate\0"),
        };
        Ok(Self { functions, _library: library })
    }
}

/// Which way pages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way<'a> {
    /// The pages of this file are sent; we called.
    Send(&'a Path),
    /// Pages are written to this file; we were called.
    Receive(&'a Path),
}

/// How a machine is set.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// Which way.
    pub way: Way<'a>,
    /// The number that is shown to the other machine.
    pub ident: &'a str,
    /// An address behind the number called.
    pub subaddress: Option<&'a str>,
    /// The fastest rate, in bits a second.
    pub bit_rate: u32,
    /// Whether packets go out as fast as a line would take them, as gateways to telephone
    /// lines need, or at once, which two machines on a network may do.
    pub is_paced: bool,
}

/// What is called while the machine works.
pub trait Observer {
    /// A packet goes to the other side, so many times.
    fn packet(&mut self, octets: &[u8], times: u8);
    /// So many pages in all have come, and the other side waits to hear so; or it has
    /// confirmed so many of ours. What returns lets the machine go on.
    fn pages(&mut self, pages: u32);
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The library's number for it; 0 is success.
    pub code: i32,
    /// The same in its words.
    pub words: String,
}

struct Seen<'a, O: Observer> {
    statistics: unsafe extern "C" fn(*mut c_void, *mut c_int),
    is_sender: bool,
    observer: &'a mut O,
    pages: u32,
    ended: Option<c_int>,
}

/// A fax machine in a call.
pub struct Machine<'a, O: Observer> {
    library: &'a Spandsp,
    state: NonNull<c_void>,
    t30: NonNull<c_void>,
    core: NonNull<c_void>,
    /// Made by `Box::into_raw`, and taken back on drop. The library calls back with it, so it
    /// is reached by this pointer alone, and never while a call into the library is under way.
    seen: NonNull<Seen<'a, O>>,
    _observer: PhantomData<&'a mut O>,
}

impl<'a, O: Observer> Machine<'a, O> {
    /// A machine that has called or answered.
    ///
    /// # Errors
    ///
    /// When the library has no memory for it, or a text of the settings has a zero in it.
    pub fn start(
        library: &'a Spandsp,
        settings: Settings<'_>,
        observer: &'a mut O,
    ) -> io::Result<Self> {
        let call = &library.functions;
        let is_sender = matches!(settings.way, Way::Send(_));
        let ident: String = settings.ident.chars().take(IDENTIFICATION_MAX_CHARS).collect();
        let ident = CString::new(ident)?;
        let subaddress = settings.subaddress.map(CString::new).transpose()?;
        let (Way::Send(path) | Way::Receive(path)) = settings.way;
        let path = CString::new(path.as_os_str().as_encoded_bytes())?;
        let none = || io::Error::other("libspandsp makes no fax machine");
        let seen = Box::new(Seen {
            statistics: call.statistics,
            is_sender,
            observer,
            pages: 0,
            ended: None,
        });
        let seen = NonNull::from(Box::leak(seen));
        let user_data = seen.as_ptr().cast::<c_void>();
        // SAFETY: a null state makes the library allocate one; the callback has the type that
        // the header asks for, and `seen` lives until the state is freed on drop.
        let state = unsafe {
            (call.init)(std::ptr::null_mut(), c_int::from(is_sender), tx_packet::<O>, user_data)
        };
        let Some(state) = NonNull::new(state) else {
            // SAFETY: leaked above, and nobody else has it.
            drop(unsafe { Box::from_raw(seen.as_ptr()) });
            return Err(none());
        };
        // SAFETY: the state was made above; both are parts of it.
        let (t30, core) =
            unsafe { ((call.t30_state)(state.as_ptr()), (call.core_state)(state.as_ptr())) };
        let (Some(t30), Some(core)) = (NonNull::new(t30), NonNull::new(core)) else {
            // SAFETY: as above; the state is freed before what it calls back with.
            unsafe {
                (call.free)(state.as_ptr());
                drop(Box::from_raw(seen.as_ptr()));
            }
            return Err(none());
        };
        let machine = Self { library, state, t30, core, seen, _observer: PhantomData };
        let pacing = if settings.is_paced { 0 } else { OPTION_NO_PACING };
        let rate = c_int::try_from(settings.bit_rate).unwrap_or(c_int::MAX);
        let modems = match rate {
            ..=4_800 => MODEM_V27TER,
            4_801..=9_600 => MODEM_V27TER | MODEM_V29,
            _ => MODEM_V27TER | MODEM_V29 | MODEM_V17,
        };
        let t30 = t30.as_ptr();
        // SAFETY: the states are alive, the texts end in a zero and are copied by the library
        // (`path`, `ident` and `subaddress` need not live on), and the callbacks have the
        // types of the headers. No header line is asked for: the library would add rows.
        unsafe {
            (call.set_config)(
                state.as_ptr(),
                pacing | OPTION_REGULAR_INDICATORS | OPTION_2S_REPEATING_INDICATORS,
            );
            (call.set_bit_rate)(core.as_ptr(), rate);
            (call.set_tx_ident)(t30, ident.as_ptr());
            if let Some(subaddress) = &subaddress {
                (call.set_tx_subaddress)(t30, subaddress.as_ptr());
            }
            (call.set_ecm)(t30, 1);
            (call.set_modems)(t30, modems);
            (call.set_compressions)(t30, COMPRESSION_T4_1D | COMPRESSION_T4_2D | COMPRESSION_T6);
            (call.set_resolutions)(t30, RESOLUTIONS);
            (call.set_sizes)(t30, IMAGE_SIZES);
            match settings.way {
                Way::Send(_) => (call.set_tx_file)(t30, path.as_ptr(), -1, -1),
                Way::Receive(_) => {
                    // However the pages come, they are written in the shortest coding.
                    (call.set_coding)(t30, CODING_T6);
                    (call.set_rx_file)(t30, path.as_ptr(), -1);
                }
            }
            (call.on_phase_d)(t30, phase_d::<O>, user_data);
            (call.on_phase_e)(t30, phase_e::<O>, user_data);
        }
        Ok(machine)
    }

    /// Lets a tick of time pass.
    pub fn tick(&mut self) {
        // SAFETY: the state is alive, and nothing else of `seen` is borrowed while it calls back.
        unsafe {
            (self.library.functions.send_timeout)(self.state.as_ptr(), c_int::from(TICK_SAMPLES))
        };
    }

    /// Takes a packet of the other side; one that is none is left out.
    pub fn receive(&mut self, sequence: u16, packet: &[u8]) {
        if packet.is_empty() || packet.len() > PACKET_MAX_OCTETS {
            return;
        }
        // SAFETY: the pointer and the length are those of one slice, which the library only
        // reads and only during the call.
        unsafe {
            (self.library.functions.receive)(
                self.core.as_ptr(),
                packet.as_ptr(),
                packet.len() as c_int,
                sequence,
            );
        }
    }

    /// The other side has hung up, or we do.
    pub fn hang_up(&mut self) {
        // SAFETY: the state is alive.
        unsafe { (self.library.functions.terminate)(self.t30.as_ptr()) };
    }

    /// How it ended, once it has.
    pub fn ended(&self) -> Option<Ended> {
        // SAFETY: no call into the library is under way, so nothing else has it.
        let code = unsafe { self.seen.as_ref() }.ended?;
        // SAFETY: the library gives a text of its own that lives as long as it does.
        let words = unsafe { text((self.library.functions.code_text)(code)) };
        Some(Ended { code, words: words.unwrap_or_default() })
    }

    /// Pages in all: confirmed by the other side, or received.
    pub fn pages(&self) -> u32 {
        // SAFETY: as in `ended`.
        unsafe { self.seen.as_ref() }.pages
    }

    /// Whom this calls back.
    pub fn observer(&mut self) -> &mut O {
        // SAFETY: as in `ended`; and `self` is borrowed for as long as what is given.
        unsafe { &mut *self.seen.as_mut().observer }
    }

    /// What the other machine calls itself.
    pub fn station(&self) -> Option<String> {
        // SAFETY: the state is alive, and its text is copied at once.
        unsafe { text((self.library.functions.rx_ident)(self.t30.as_ptr())) }
    }
}

impl<O: Observer> Drop for Machine<'_, O> {
    fn drop(&mut self) {
        // SAFETY: made in `start` and freed here alone; the state goes first, so nothing calls
        // back with what goes then.
        unsafe {
            (self.library.functions.free)(self.state.as_ptr());
            drop(Box::from_raw(self.seen.as_ptr()));
        }
    }
}

/// A copy of a text of the library.
///
/// # Safety
///
/// `text` is null or ends in a zero.
unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: the caller's promise.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// # Safety
///
/// `user_data` is the `Seen` of a machine that is alive, and `octets` has `length` octets.
unsafe extern "C" fn tx_packet<O: Observer>(
    _core: *mut c_void,
    user_data: *mut c_void,
    octets: *const u8,
    length: c_int,
    times: c_int,
) -> c_int {
    let (Ok(length), false) = (usize::try_from(length), octets.is_null()) else { return 0 };
    // SAFETY: the caller's promise; the machine does not touch it while it calls the library.
    let seen = unsafe { &mut *user_data.cast::<Seen<'_, O>>() };
    // SAFETY: the caller's promise.
    let octets = unsafe { std::slice::from_raw_parts(octets, length) };
    let times = u8::try_from(times).unwrap_or(REPEATS_MAX).clamp(1, REPEATS_MAX);
    seen.observer.packet(octets, times);
    0
}

/// # Safety
///
/// `user_data` is the `Seen` of a machine that is alive, and `t30` its state.
unsafe extern "C" fn phase_d<O: Observer>(
    t30: *mut c_void,
    user_data: *mut c_void,
    _message: c_int,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { count::<O>(t30, user_data) };
    0
}

/// # Safety
///
/// As for `phase_d`.
unsafe extern "C" fn phase_e<O: Observer>(t30: *mut c_void, user_data: *mut c_void, code: c_int) {
    // SAFETY: the caller's promise.
    unsafe { count::<O>(t30, user_data) };
    // SAFETY: the caller's promise.
    unsafe { &mut *user_data.cast::<Seen<'_, O>>() }.ended = Some(code);
}

/// Says so when there are more pages than before.
///
/// # Safety
///
/// As for `phase_d`.
unsafe fn count<O: Observer>(t30: *mut c_void, user_data: *mut c_void) {
    // SAFETY: the caller's promise.
    let seen = unsafe { &mut *user_data.cast::<Seen<'_, O>>() };
    let mut words: [c_int; STATISTICS_WORDS] = [0; STATISTICS_WORDS];
    // SAFETY: the statistics are words (15 of them in this version), and there is room for more.
    unsafe { (seen.statistics)(t30, words.as_mut_ptr()) };
    // Bit rate, error correction, pages sent, pages received, …
    let pages = u32::try_from(words[if seen.is_sender { 2 } else { 3 }]).unwrap_or(0);
    if pages > seen.pages {
        seen.pages = pages;
        seen.observer.pages(pages);
    }
}
