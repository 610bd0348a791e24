/// A process cannot do what was asked of it.
public struct ProcessError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What is wrong. The comments name what CPython raises.
  public enum Code: Equatable, Sendable {
    /// It was started before (AssertionError).
    case startedTwice
    /// It was not started yet (AssertionError, AttributeError).
    case notStarted
    /// Another process made it: only that one starts, waits for and ends it (AssertionError).
    case notParent
    /// It was closed (ValueError).
    case closed
    /// It cannot be closed while it runs (ValueError).
    case stillRunning
    /// A daemonic process has no children (AssertionError).
    case daemonHasNoChildren
    /// A process would wait for its own end.
    case joinsItself
    /// A closure can only be run by a fork of the process that holds it.
    case closureNeedsFork
    /// Its argument cannot be handed to it; why.
    case argumentEncoding(String)
    /// The system would not start it; why.
    case startFailed(StartFailure)
    /// The program is not set up for it.
    case program(ProgramError)
  }

  /// What is wrong.
  public let code: Code
  /// The name of the process.
  public let process: String

  init(_ code: Code, _ process: String) {
    self.code = code
    self.process = process
  }

  /// What is wrong, and what would be right.
  public var description: String {
    "\(process): \(reason)"
  }

  private var reason: String {
    switch code {
    case .startedTwice: "a process is started once; make another one"
    case .notStarted: "it has not been started"
    case .notParent: "it is no child of this process: only the process that made it can do this"
    case .closed: "the process object is closed"
    case .stillRunning: "it cannot be closed while it runs; join() or terminate() it first"
    case .daemonHasNoChildren: "a daemonic process may not have children"
    case .joinsItself: "a process cannot wait for its own end"
    case .closureNeedsFork:
      "a closure can only be run by fork; register a task, or use the context .fork"
    case .argumentEncoding(let why): "its argument cannot be handed to it: \(why)"
    case .startFailed(let failure): "it cannot be started: \(failure)"
    case .program(let error): error.description
    }
  }
}
