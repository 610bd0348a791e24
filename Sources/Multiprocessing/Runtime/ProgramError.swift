/// The program as a whole does not permit what was asked for.
public struct ProgramError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What is wrong.
  public enum Code: Equatable, Sendable {
    /// `bootstrap` was not called.
    case notBootstrapped
    /// The start method is set already.
    case startMethodIsSet(StartMethod)
    /// The process has this many threads, and a fork of it would deadlock sooner or later.
    case severalThreads(Int)
    /// No task of this name was given to `bootstrap`.
    case unknownTask(String)
    /// The task of this name that was given to `bootstrap` is another one: where the two were
    /// defined, and for which types.
    case otherTask(String, given: String, registered: String)
    /// The process that starts others cannot be started; why.
    case noForkServer(String)
  }

  /// What is wrong.
  public let code: Code

  init(_ code: Code) {
    self.code = code
  }

  /// What is wrong, and what would be right.
  public var description: String {
    switch code {
    case .notBootstrapped:
      """
      this program does not call bootstrap, and so the processes that it starts would run its main \
      again from the beginning: make bootstrap([...]), with all tasks, the first statement of main
      """
    case .startMethodIsSet(let method):
      """
      the start method has already been set, to \(method.rawValue); it is set once, early in main \
      (setStartMethod(_:force: true) changes it all the same)
      """
    case .severalThreads(let count):
      """
      fork is refused, because this process has \(count) threads: the child would have one of \
      them, and wait for ever for what the others held. Use forkserver or spawn, or fork before \
      anything starts a thread (a Pool does)
      """
    case .unknownTask(let name):
      "there is no task '\(name)' in this program: add it to the list that bootstrap is given"
    case .otherTask(let name, let given, let registered):
      """
      there are two tasks '\(name)', and a process would run the other one: this is the one of \
      \(given), while bootstrap was given that of \(registered). Names are unique in a program: \
      rename one, and give bootstrap both
      """
    case .noForkServer(let reason):
      "the process that starts all others cannot be started: \(reason)"
    }
  }
}
