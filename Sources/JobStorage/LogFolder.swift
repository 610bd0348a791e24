internal import DequeModule
internal import JSON
public import JobCore

/// The logs of jobs, a file each: `<number>.stderr`, with the job's number in 20 digits.
///
/// They are for people and not part of what was promised: nothing is synced, a log that does not
/// fit on the disk is not kept, and when all of them together pass a bound the oldest go. For the
/// thread of the loop only; each call blocks for the system calls on one file.
///
/// A file is one line, `{"log":1,"count":9000,"head":4096}`, and then the bytes: the first `head`
/// of them are the log's beginning, the rest its end. `count` is how many were written.
public final class LogFolder {
  private let path: String
  private let bytesMax: Int
  private let fileSystem: any FileSystem
  /// Files by job; most jobs have none.
  private var sizes: [JobNumber: [JobLog.Stream: Int]] = [:]
  /// Jobs in the order in which their logs were kept; some may have none any more.
  private var order: Deque<JobNumber> = []
  /// Bytes of all files.
  public private(set) var bytes = 0

  /// Opens the folder, made if it is not there, and removes the files of jobs that are not held.
  ///
  /// - Parameters:
  ///   - path: the folder; its parent must be there.
  ///   - bytesMax: the most bytes of all files together.
  public init(
    _ path: String, bytesMax: Int, isHeld: (JobNumber) -> Bool,
    fileSystem: any FileSystem = POSIXFileSystem()
  ) throws(StorageError) {
    self.path = path
    self.bytesMax = bytesMax
    self.fileSystem = fileSystem
    try fileSystem.makeDirectory(path)
    for name in try fileSystem.list(path).sorted() {
      guard let (job, stream) = LogFolder.parts(of: name) else { continue }
      guard isHeld(job) else {
        try fileSystem.remove("\(path)/\(name)")
        continue
      }
      note(job, stream, try fileSystem.size("\(path)/\(name)"))
    }
  }

  /// Whether anything is kept of a job.
  public func holds(_ job: JobNumber) -> Bool { sizes[job] != nil }

  /// Keeps a log in the place of the one before, or, if it is empty, none.
  ///
  /// - Throws: `callFailed`; then none is kept.
  public func keep(
    _ log: JobLog, of job: JobNumber, _ stream: JobLog.Stream
  ) throws(StorageError) {
    remove(job, stream)
    guard log.count > 0 else { return }
    let file = name(of: job, stream)
    let line = #"{"log":1,"count":\#(log.count),"head":\#(log.head.count)}"# + "\n"
    do throws(StorageError) {
      let open = try fileSystem.open(file, for: .creating)
      defer { fileSystem.close(open) }
      try write(Array(line.utf8) + log.head + log.tail, to: open)
    } catch {
      // Whatever there is of it must not be read; if this fails, the next start finds it.
      try? fileSystem.remove(file)
      throw error
    }
    note(job, stream, line.utf8.count + log.head.count + log.tail.count)
    while bytes > bytesMax, let oldest = order.first, oldest != job { remove(oldest) }
  }

  /// The log of a job; nil when none is kept, or when it cannot be read any more.
  public func log(of job: JobNumber, _ stream: JobLog.Stream) -> JobLog? {
    guard let size = sizes[job]?[stream] else { return nil }
    guard let file = try? fileSystem.open(name(of: job, stream), for: .reading) else { return nil }
    defer { fileSystem.close(file) }
    var content = [UInt8](repeating: 0, count: size)
    var filled = 0
    while filled < size {
      let read = content.withUnsafeMutableBytes { buffer in
        let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
        return (try? fileSystem.read(file, at: filled, into: rest)) ?? 0
      }
      guard read > 0 else { return nil }
      filled += read
    }
    return LogFolder.decode(content)
  }

  /// Drops what is kept of a job.
  public func remove(_ job: JobNumber) {
    guard sizes[job] != nil else { return }
    for stream in JobLog.Stream.allCases { remove(job, stream) }
  }

  // MARK: Files

  private func name(of job: JobNumber, _ stream: JobLog.Stream) -> String {
    let digits = String(job)
    let zeros = String(repeating: "0", count: 20 - digits.utf8.count)
    return "\(path)/\(zeros)\(digits).\(stream.rawValue)"
  }

  private static func parts(of name: String) -> (JobNumber, JobLog.Stream)? {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard
      parts.count == 2, parts[0].utf8.count == 20,
      parts[0].utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
      let number = JobNumber(parts[0]), let stream = JobLog.Stream(rawValue: String(parts[1]))
    else { return nil }
    return (number, stream)
  }

  private func write(_ content: [UInt8], to file: OpenFile) throws(StorageError) {
    var written = 0
    while written < content.count {
      let taken: Result<Int, StorageError> = content.withUnsafeBytes { buffer in
        Result { () throws(StorageError) in
          try fileSystem.append(file, UnsafeRawBufferPointer(rebasing: buffer[written...]))
        }
      }
      written += try taken.get()
    }
  }

  private static func decode(_ content: [UInt8]) -> JobLog? {
    guard let end = content.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
    let values = content[..<end].withUnsafeBufferPointer { line in
      try? JSONReader.read(line) { (reader) throws(JSONError) in
        try RecordDecoder.integers(&reader)
      }
    }
    let bytes = content[(end + 1)...]
    guard
      let values, values["log"] == 1, let count = values["count"], let head = values["head"],
      (0...bytes.count).contains(head), count >= bytes.count
    else { return nil }
    return JobLog(count: count, head: Array(bytes.prefix(head)), tail: Array(bytes.dropFirst(head)))
  }

  // MARK: Books

  private func note(_ job: JobNumber, _ stream: JobLog.Stream, _ size: Int) {
    if sizes[job] == nil { order.append(job) }
    sizes[job, default: [:]][stream] = size
    bytes += size
  }

  private func remove(_ job: JobNumber, _ stream: JobLog.Stream) {
    guard let size = sizes[job]?[stream] else { return }
    try? fileSystem.remove(name(of: job, stream))
    bytes -= size
    sizes[job]?[stream] = nil
    guard sizes[job]?.isEmpty == true else { return }
    sizes[job] = nil
    while let first = order.first, sizes[first] == nil { order.removeFirst() }
    if order.count > 2 * sizes.count + 64 { order.removeAll { sizes[$0] == nil } }
  }
}
