import JSON
import Multiprocessing

/// Writes what is configured for a task.
enum TaskWriter {
  /// Appends the members `program` and `limits`, as far as there is something to say.
  static func write(_ task: TaskSettings, to writer: inout JSONWriter) {
    if let program = task.program { write(program, to: &writer) }
    let hasLimits =
      task.rule != nil || task.openFilesMax != nil || task.outputBytesMax != nil
    guard hasLimits else { return }
    writer.name("limits")
    writer.beginObject()
    if let timeout = task.timeout { writer.member("timeout", number: Double(timeout) / 1_000) }
    if let cpu = task.cpuMicroseconds { writer.member("cpu", number: Double(cpu) / 1_000_000) }
    if let memory = task.memoryBytes { writer.member("memory", integer: memory) }
    if let files = task.openFilesMax { writer.member("open_files", integer: files) }
    if let output = task.outputBytesMax { writer.member("output", integer: output) }
    writer.endObject()
  }

  private static func write(_ program: ProgramSettings, to writer: inout JSONWriter) {
    writer.name("program")
    writer.beginObject()
    writer.member("positional", integer: program.arguments.positionalCount)
    writer.name("named")
    writer.beginArray()
    for name in program.arguments.names { writer.string(name) }
    writer.endArray()
    writer.member("any_arguments", bool: program.arguments.takesAny)
    switch program.result {
    case .text: writer.member("result", string: "text")
    case .json: writer.member("result", string: "json")
    case .bytes(let contentType):
      writer.member("result", string: "bytes")
      writer.member("content_type", string: contentType)
    }
    writer.endObject()
  }
}
