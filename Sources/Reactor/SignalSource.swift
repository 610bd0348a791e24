internal import CPlatform
import Glibc

/// Signals as something to read, instead of code that runs in the middle of other code,
/// signalfd(2).
///
/// The signals are blocked for the calling thread, and for the threads and processes that it
/// starts from then on: a child that is to die of SIGTERM unblocks it. Make it before the first
/// thread starts, or a thread that does not block a signal dies of it. They stay blocked when the
/// source is gone, so that a second SIGTERM cannot cut an orderly end short.
///
/// Signals of the same number that arrive before the drain are one, signal(7): after SIGCHLD look
/// at every child.
public final class SignalSource {
  /// To be watched for reading. Non-blocking and close-on-exec; closed with this object.
  public let fileDescriptor: Int32

  /// Throws when the process or the system has no descriptor left. SIGKILL and SIGSTOP can be
  /// listed but not caught.
  public init(_ signals: [Int32]) throws(ReactorError) {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in signals {
      let result = sigaddset(&set, signal)
      precondition(result == 0, "not a signal: \(signal)")
    }
    // Blocked first: what arrives in between waits for the descriptor.
    let result = sigprocmask(SIG_BLOCK, &set, nil)
    precondition(result == 0, "sigprocmask: errno \(errno)")
    fileDescriptor = signalfd(-1, &set, Int32(SFD_CLOEXEC | SFD_NONBLOCK))
    if fileDescriptor < 0 { throw ReactorError(call: "signalfd") }
  }

  deinit {
    close(fileDescriptor)
  }

  /// The numbers of the signals that arrived since the last drain, lowest first, as the kernel
  /// hands them out. Never blocks. Only for the thread that made the source, if there are others.
  public func drain() -> [Int32] {
    var arrived: [Int32] = []
    var record = signalfd_siginfo()
    while true {
      let count = read(fileDescriptor, &record, MemoryLayout<signalfd_siginfo>.size)
      if count > 0 {
        arrived.append(Int32(record.ssi_signo))
      } else if errno != EINTR {
        precondition(errno == EAGAIN, "signalfd: errno \(errno)")
        return arrived
      }
    }
  }
}
