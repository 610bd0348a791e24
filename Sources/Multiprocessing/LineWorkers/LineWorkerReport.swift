/// What a `LineWorkerPool` tells whoever assigns calls to it.
public enum LineWorkerReport: Sendable {
  /// What every pool tells. A `callEnded` or `callLost` comes after the call's `logEnded`.
  case pool(PoolReport)
  /// A worker is ready and knows other tasks than the ones before it; so does the first.
  case announced(tasks: [String], isDynamic: Bool)
  /// A call that runs tells how far it is: a JSON value, and perhaps a sentence.
  case progressed(call: UInt64, value: String, message: String?)
  /// A call that runs has made a value, JSON text, before its end.
  case item(call: UInt64, value: String)
  /// A call that runs wrote to stdout or stderr. Told once until the report is taken.
  case logGrew(call: UInt64)
  /// A call is over: what it wrote.
  case logEnded(call: UInt64, stdout: ProgramLog, stderr: ProgramLog)
  /// A worker wrote something while it ran nothing; at most 4 KiB of it.
  case stray(process: Int32, text: [UInt8])
}
