import Glibc

/// What a task may do to the channel of its worker, as its descriptors are within its reach.
public enum ChannelDeed: String, CaseIterable, Codable, Sendable {
  /// Closes one half of the socket by which calls come, the one that nobody uses.
  case halfCloseCalls = "half-close calls"
  /// Closes that socket.
  case closeCalls = "close calls"
  /// Closes the pipe by which answers go.
  case closeAnswers = "close answers"
  /// Closes both, and all else above the standard descriptors.
  case closeAll = "close all"

  /// Whether the worker can still answer the call that it runs.
  public var leavesAnswers: Bool { self == .halfCloseCalls || self == .closeCalls }

  /// The socket by which the calls of this worker come: the only stream that it has.
  public static var calls: Int32 {
    descriptor { number in
      var type: Int32 = 0
      var size = socklen_t(MemoryLayout<Int32>.size)
      return getsockopt(number, SOL_SOCKET, SO_TYPE, &type, &size) == 0
        && type == Int32(SOCK_STREAM.rawValue)
    }
  }

  /// The pipe by which its answers go: the last that it can write to.
  public static var answers: Int32 {
    descriptor { number in
      var kind = stat()
      return fstat(number, &kind) == 0 && kind.st_mode & S_IFMT == S_IFIFO
        && fcntl(number, F_GETFL) & O_ACCMODE == O_WRONLY
    }
  }

  private static func descriptor(where isWanted: (Int32) -> Bool) -> Int32 {
    let found = ProcessFiles.openDescriptors.map(Int32.init).last { $0 > 2 && isWanted($0) }
    guard let found else { fail("this is no worker") }
    return found
  }

  /// Does it.
  public func perform() { Armed(self).perform() }

  /// Does it when this process gets SIGUSR1.
  public func performAtSignal() {
    Armed.next = Armed(self)
    signal(SIGUSR1) { _ in Armed.next?.perform() }
  }

  /// Closes all, and opens `path` again and again, so that it has the numbers of what was closed.
  public static func replaceAll(by path: String) {
    let last = answers
    closeAll.perform()
    while open(path, O_RDWR) < last {}
  }

  /// A deed and what it needs to know, as a signal's function cannot look for it.
  private struct Armed {
    /// Written before the signal's function is set, which alone reads it.
    nonisolated(unsafe) static var next: Armed?

    let deed: ChannelDeed
    let calls = ChannelDeed.calls
    let answers = ChannelDeed.answers

    init(_ deed: ChannelDeed) { self.deed = deed }

    func perform() {
      switch deed {
      case .halfCloseCalls: shutdown(calls, Int32(SHUT_WR))
      case .closeCalls: close(calls)
      case .closeAnswers: close(answers)
      case .closeAll: closefrom(3)
      }
    }
  }
}
