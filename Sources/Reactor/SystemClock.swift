// `timespec` belongs to whichever of the two the compiler reads first; a release build reads both.
internal import CPlatform
import Glibc

/// The two clocks of this machine, and the only place of the server that reads one.
///
/// Everything else takes time as an argument and gives it back as a deadline, so that a test or a
/// replay decides what time it is. The loop reads the clock once a turn and hands that moment on.
public enum SystemClock {
  /// Nanoseconds since an unspecified start (in practice the boot), never going back and not moved
  /// by whoever sets the wall clock. It stands still while the machine is suspended.
  ///
  /// Every deadline of the server counts on this clock. `CLOCK_MONOTONIC`, clock_gettime(2); on
  /// Linux it is answered without a system call, vdso(7).
  public static var monotonicNanoseconds: UInt64 {
    let now = read(CLOCK_MONOTONIC)
    return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
  }

  /// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted. It may jump both ways.
  ///
  /// For what people read, and for what must mean the same after a restart; never for a wait.
  /// `CLOCK_REALTIME`, clock_gettime(2).
  public static var wallMilliseconds: Int64 {
    let now = read(CLOCK_REALTIME)
    return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
  }

  private static func read(_ clock: clockid_t) -> timespec {
    var now = timespec()
    let result = clock_gettime(clock, &now)
    // It fails only for a clock that does not exist or an address that is not ours.
    precondition(result == 0, "clock_gettime refused a clock that every Linux has")
    return now
  }
}
