internal import CPlatform
import Glibc

/// The end of a process of the program, main or child: ends its pools, waits for the children that
/// are not daemonic and ends those that are, as CPython's does.
///
/// Not for a signal handler, no more than exit(3) is, by which it would be reached: it takes locks
/// that the thread which was interrupted may hold. Such a handler calls _exit(2): then the kernel
/// ends whatever the process has started. A task, a callback, an input may call `exit`, as none is
/// called while the library holds a lock that is needed here.
enum EndOfMain {
  /// How long a daemonic child that was sent SIGTERM has, before it is killed.
  private static let grace = Duration.seconds(5)

  /// How long the workers of a pool that nobody has closed have, before they are killed.
  private static let poolGrace = Duration.seconds(1)

  /// Has `run` called when the process calls `exit` or returns from main. To be called before the
  /// first child is started.
  static func arrange() {
    let isFirst = ProgramRuntime.state.withLock { state in
      defer { state.endsByRun = true }
      return !state.endsByRun
    }
    if isFirst { atexit { EndOfMain.run() } }
  }

  /// Terminates the pools, ends what is daemonic and waits for the rest, without a bound, as
  /// CPython does. What this process has printed is flushed first. Idempotent.
  static func run() {
    fflush(nil)
    Pool.endAll(grace: poolGrace)
    let children = ProgramRuntime.state.withLock(\.children.all)
    let daemons = children.filter(\.isDaemon)
    // Whatever fails here has ended, or is not ours.
    for daemon in daemons { _ = try? daemon.terminate() }
    let bound = Deadline(after: daemons.isEmpty ? .zero : grace)
    for daemon in daemons {
      let left = Duration.nanoseconds(Int64(clamping: bound.left ?? 0))
      if (try? daemon.join(timeout: left)) == false {
        _ = try? daemon.kill()
        _ = try? daemon.join()
      }
    }
    for child in children where !child.isDaemon { _ = try? child.join() }
  }
}
