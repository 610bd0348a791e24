/// The tasks of a program, by name. Built the same way in every process, before anything is
/// started.
public struct TaskRegistry: Sendable {
  private let tasks: [String: AnyTask]
  private let initializers: [String: AnyTask]
  /// The names of the tasks, in the order in which they were given.
  public let names: [String]

  /// A registry of `tasks`, and of `initializers`, which a pool may have each of its workers run
  /// before its first call but which nobody can call. Two of one name are a programming error: it
  /// ends the process, with code 70.
  public init(_ tasks: [AnyTask], initializers: [AnyTask] = []) {
    self.tasks = Self.index(tasks)
    self.initializers = Self.index(initializers)
    names = tasks.map(\.name)
  }

  private static func index(_ tasks: [AnyTask]) -> [String: AnyTask] {
    Dictionary(tasks.map { ($0.name, $0) }) { first, second in
      Bootstrap.stop(
        """
        two tasks are named '\(first.name)', at \(first.source) and at \(second.source): \
        a name is unique in a program
        """)
    }
  }

  /// Throws unless `task` is the one of its name. A name alone may be that of another function,
  /// which would run in its place.
  func require<Argument, Output>(
    _ task: TaskDefinition<Argument, Output>
  ) throws(ProgramError) {
    guard let known = tasks[task.name] else { throw ProgramError(.unknownTask(task.name)) }
    guard known.source.isSame(as: task.source) else {
      throw ProgramError(
        .otherTask(task.name, given: task.source.text, registered: known.source.text))
    }
  }

  /// The task of that name, if there is one.
  func task(named name: String) -> AnyTask? { tasks[name] }

  /// The initializer of that name, if there is one.
  func initializer(named name: String) -> AnyTask? { initializers[name] }
}
