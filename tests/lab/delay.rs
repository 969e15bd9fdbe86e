//! `delay NS_A IF_A NS_B IF_B DELAY_MS RATE_MBIT LOSS_PERCENT`: a cable between two network namespaces. Each end is a TAP
//! device; frames are carried both ways with a delay, at a rate (0 for any) and with random loss. It stands in for
//! `tc netem`, which not every kernel has. `lab.sh` compiles it with rustc alone, so it calls libc by hand.

use std::collections::VecDeque;
use std::ffi::CString;
use std::time::{Duration, Instant};

#[repr(C)]
struct PollFd {
    fd: i32,
    events: i16,
    revents: i16,
}

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanos: i64,
}

unsafe extern "C" {
    fn open(path: *const i8, flags: i32, ...) -> i32;
    fn setns(fd: i32, kind: i32) -> i32;
    fn ioctl(fd: i32, request: u64, ...) -> i32;
    fn read(fd: i32, buffer: *mut u8, length: usize) -> isize;
    fn write(fd: i32, buffer: *const u8, length: usize) -> isize;
    fn ppoll(fds: *mut PollFd, count: u64, timeout: *const Timespec, mask: *const u8) -> i32;
}

const O_RDWR_NONBLOCK: i32 = 2 | 0o4000;
const CLONE_NEWNET: i32 = 0x4000_0000;
const TUNSETIFF: u64 = 0x4004_54ca;
const IFF_TAP_NO_PI: u16 = 0x0002 | 0x1000;
const POLLIN: i16 = 1;
/// A frame that would wait longer than this for the wire is dropped, as a full queue does.
const QUEUE_MAX: Duration = Duration::from_millis(300);

/// Makes a TAP device in a namespace.
fn tap(namespace: &str, name: &str) -> i32 {
    let c = |text: &str| CString::new(text).expect("no zero byte");
    let failed = |what: &str| panic!("{what}: {}", std::io::Error::last_os_error());
    // SAFETY: the strings end with a zero byte and live during the calls; the request is as large as `struct ifreq`.
    unsafe {
        let target = open(c(namespace).as_ptr().cast(), 0);
        if target < 0 || setns(target, CLONE_NEWNET) != 0 {
            failed(namespace);
        }
        let device = open(c("/dev/net/tun").as_ptr().cast(), O_RDWR_NONBLOCK);
        let mut request = [0u8; 40];
        request[..name.len()].copy_from_slice(name.as_bytes());
        request[16..18].copy_from_slice(&IFF_TAP_NO_PI.to_ne_bytes());
        if device < 0 || ioctl(device, TUNSETIFF, request.as_ptr()) != 0 {
            failed(name);
        }
        device
    }
}

/// One direction.
struct Direction {
    from: i32,
    to: i32,
    /// Frames on their way and when they arrive.
    flying: VecDeque<(Instant, Vec<u8>)>,
    /// When the wire is free again.
    free: Instant,
}

impl Direction {
    fn deliver(&mut self) {
        while self.flying.front().is_some_and(|(at, _)| *at <= Instant::now()) {
            let (_, frame) = self.flying.pop_front().expect("there is a first one");
            // SAFETY: the pointer and the length are those of the frame.
            unsafe { write(self.to, frame.as_ptr(), frame.len()) };
        }
    }

    fn accept(&mut self, frame: &[u8], delay: Duration, bits_per_second: f64) {
        let now = Instant::now();
        let begins = self.free.max(now);
        let wire = if bits_per_second > 0.0 { frame.len() as f64 * 8.0 / bits_per_second } else { 0.0 };
        if begins - now <= QUEUE_MAX {
            self.free = begins + Duration::from_secs_f64(wire);
            self.flying.push_back((self.free + delay, frame.to_vec()));
        }
    }
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let number = |index: usize| words[index].parse::<f64>().expect("a number");
    let (a, b) = (tap(&words[1], &words[2]), tap(&words[3], &words[4]));
    let (delay, rate, loss) = (Duration::from_secs_f64(number(5) / 1e3), number(6) * 1e6, number(7) / 100.0);
    let direction = |from, to| Direction { from, to, flying: VecDeque::new(), free: Instant::now() };
    let mut directions = [direction(a, b), direction(b, a)];
    let mut buffer = vec![0u8; 65536];
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    loop {
        directions.iter_mut().for_each(Direction::deliver);
        let next = directions.iter().filter_map(|direction| direction.flying.front()).map(|(at, _)| *at).min();
        let wait = next.map_or(Duration::from_secs(1), |at| at.saturating_duration_since(Instant::now()));
        let timeout = Timespec { seconds: wait.as_secs() as i64, nanos: i64::from(wait.subsec_nanos()) };
        let mut fds = [a, b].map(|fd| PollFd { fd, events: POLLIN, revents: 0 });
        // SAFETY: two descriptors and a timeout that live during the call.
        unsafe { ppoll(fds.as_mut_ptr(), 2, &timeout, std::ptr::null()) };
        for direction in &mut directions {
            loop {
                // SAFETY: the buffer is as long as said.
                let length = unsafe { read(direction.from, buffer.as_mut_ptr(), buffer.len()) };
                if length <= 0 {
                    break;
                }
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                if (random >> 11) as f64 / (1u64 << 53) as f64 >= loss {
                    direction.accept(&buffer[..length as usize], delay, rate);
                }
            }
        }
    }
}
