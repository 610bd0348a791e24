internal import CPlatform
import Glibc
import JSON

/// What a process is to run, and how it gets there.
struct ProcessTarget {
  /// A registered task, with its argument.
  struct Call {
    var task: String
    /// Throws unless it is the task of its name.
    var check: (TaskRegistry) throws(ProgramError) -> Void
    var encode: () throws(TaskFailure) -> [UInt8]
  }

  /// nil for a closure, which cannot leave this process but by a fork.
  private let call: Call?
  /// Runs it in this process.
  let body: () throws -> Void

  /// A call of a task.
  init<Argument, Output>(_ task: TaskDefinition<Argument, Output>, _ argument: Argument) {
    call = Call(
      task: task.name,
      check: { (registry) throws(ProgramError) in try registry.require(task) },
      encode: { () throws(TaskFailure) in
        var writer = JSONWriter()
        try task.argumentCodec.item.write(argument, &writer)
        return writer.bytes
      })
    body = { _ = try task.body(argument) }
  }

  /// A closure.
  init(_ body: @escaping () throws -> Void) {
    call = nil
    self.body = body
  }

  /// Starts it as `process`. Does not return in a child that is a fork of this process.
  func start(_ process: Process) throws(ProcessError) -> ChildProcess {
    let method = ProgramRuntime.context(process.context).startMethod
    do throws(ProgramError) {
      try check(method)
    } catch {
      throw ProcessError(.program(error), process.name)
    }
    // What is opened from here on must not take the number of somebody's stdout.
    guard lido_reserve_standard_descriptors() == 0 else {
      let failure = StartFailure(stage: .descriptors, errorNumber: errno)
      throw ProcessError(.startFailed(failure), process.name)
    }
    if method == .fork { return try fork(process) }
    guard let call else { throw ProcessError(.closureNeedsFork, process.name) }
    return try serve(call, process, method)
  }

  /// Whether the program is set up for it.
  private func check(_ method: StartMethod) throws(ProgramError) {
    let registry = try ProgramRuntime.registry()
    try call?.check(registry)
    guard method == .fork else { return }
    let threads = Bootstrap.settledThreadCount()
    if threads != 1 { throw ProgramError(.severalThreads(threads)) }
  }
}
