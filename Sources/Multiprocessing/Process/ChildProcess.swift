internal import CPlatform
import Glibc

/// A process that was started, by its parent.
final class ChildProcess: Sendable {
  /// Who knows how it ends.
  enum Origin {
    /// It is a child of this process.
    case forked
    /// It is a child of the fork server, which names it so.
    case served(ProcessToken, ProcessStarter)
  }

  let process: Int32
  /// Readable once it has ended.
  let sentinel: OwnedDescriptor
  private let origin: Origin
  /// How it ended, once somebody has asked.
  private let status = Mutex<ExitStatus?>(nil)

  init(_ process: Int32, _ sentinel: OwnedDescriptor, _ origin: Origin) {
    self.process = process
    self.sentinel = sentinel
    self.origin = origin
  }

  /// Waits until it has ended; false if it has not by `deadline`.
  func hasEnded(by deadline: Deadline) -> Bool {
    // The process may be closed meanwhile, and the number be another's: this one stays open.
    withExtendedLifetime(self) { deadline.poll(sentinel.number, for: POLLIN) }
  }

  /// Sends it a signal. It fails for one that has ended, and whoever ends a process is content with
  /// that.
  func send(_ signal: Int32) {
    withExtendedLifetime(self) { _ = lido_signal_process(sentinel.number, signal) }
  }

  /// How it ended; to be asked once the sentinel is readable.
  func end() -> ExitStatus {
    status.withLock { known in
      if let known { return known }
      let status = ask()
      known = status
      return status
    }
  }

  private func ask() -> ExitStatus {
    switch origin {
    case .served(let token, let starter): return starter.end(of: token)
    case .forked:
      var status: Int32 = 0
      let result = lido_reap_child(process, sentinel.number, &status)
      // Somebody else has reaped it: a wait(2) for any child, or SIGCHLD that is ignored.
      return result == 1 ? ExitStatus(waitStatus: status) : .unknown
    }
  }
}
