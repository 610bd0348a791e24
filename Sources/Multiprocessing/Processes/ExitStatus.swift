/// How a process ended.
public enum ExitStatus: Equatable, Hashable, Sendable {
  /// It called `exit` or returned from `main` with this code, 0 to 255.
  case exited(Int32)
  /// This signal ended it.
  case signalled(Int32)
  /// It is gone and nobody could learn how, because the fork server went with it.
  case unknown

  /// Reads a status as `wait(2)` gives it.
  public init(waitStatus: Int32) {
    let signal = waitStatus & 0x7f
    self = signal == 0 ? .exited((waitStatus >> 8) & 0xff) : .signalled(signal)
  }

  /// The number that CPython calls `Process.exitcode`: the code; `-N` for signal `N`; and 255 where
  /// it is unknown, as CPython has it for children of a fork server that vanished.
  public var exitcode: Int32 {
    switch self {
    case .exited(let code): code
    case .signalled(let signal): -signal
    case .unknown: 255
    }
  }
}

extension ExitStatus: CustomStringConvertible {
  /// For logs and error messages.
  public var description: String {
    switch self {
    case .exited(let code): "exited with code \(code)"
    case .signalled(let signal): "ended by signal \(signal)"
    case .unknown: "gone, exit status unknown"
    }
  }
}
