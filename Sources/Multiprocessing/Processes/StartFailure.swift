import CPlatform
import Glibc

/// Why a process could not be started.
public struct StartFailure: Error, Equatable, Sendable {
  /// What was being done when it failed.
  public enum Stage: UInt32, Sendable {
    /// The request did not reach the fork server, or it could not read it.
    case request = 1
    /// The fork itself: limits on processes or memory.
    case fork = 2
    /// Making the child lead its own process group.
    case processGroup = 3
    /// A resource limit (`setrlimit`).
    case limits = 4
    /// Niceness, or the score for the kernel's out-of-memory killer.
    case priority = 5
    /// Giving the child its descriptors.
    case descriptors = 6
    /// Making or entering the working folder.
    case workingFolder = 7
    /// Executing the program.
    case exec = 8
    /// The fork server ended before it answered. If the process ran at all, the kernel is killing
    /// it now.
    case forkServerLost = 9
    /// Watching what would tell of the process: epoll(7) has no memory, or the user no watch, left.
    case watching = 10
  }

  /// What was being done.
  public let stage: Stage
  /// The `errno` of it.
  public let errorNumber: Int32

  /// Creates a failure.
  public init(stage: Stage, errorNumber: Int32) {
    self.stage = stage
    self.errorNumber = errorNumber
  }

  /// Whether the same request may well succeed a little later: the machine is short of something,
  /// or the fork server is being replaced. Nothing is wrong with the request.
  public var isTransient: Bool {
    switch stage {
    // The working folder is made by the pool, in a folder of the pool's.
    case .forkServerLost, .watching, .workingFolder: true
    case .exec: errorNumber == EAGAIN || errorNumber == ENOMEM || errorNumber == ETXTBSY
    default: [EAGAIN, ENOMEM, EMFILE, ENFILE, ENOBUFS].contains(errorNumber)
    }
  }
}

extension StartFailure: CustomStringConvertible {
  /// `"exec: No such file or directory"`.
  public var description: String {
    "\(stage.words): \(String(cString: strerror(errorNumber)))"
  }
}

extension StartFailure.Stage {
  /// What was being done, in a word or two.
  fileprivate var words: String {
    switch self {
    case .processGroup: "process group"
    case .workingFolder: "working folder"
    case .forkServerLost: "fork server lost"
    case .request, .fork, .limits, .priority, .descriptors, .exec, .watching: "\(self)"
    }
  }
}
