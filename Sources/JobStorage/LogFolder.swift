internal import DequeModule
internal import JSON
public import JobCore

/// The logs of jobs, a file each: `<number>.stderr` and `<number>.stdout`, with the job's number in
/// 20 digits.
///
/// They are for people and not part of what was promised: nothing is synced, a log that does not
/// fit on the disk is not kept, and when all of them together pass a bound the oldest go. For the
/// thread of the loop only; each call blocks for the system calls on one file at most. The files of
/// many logs that go together are removed by others: see `takeUnwanted`.
///
/// A file is one line, `{"log":1,"count":9000,"head":4096}`, and then the bytes: the first `head`
/// of them are the log's beginning, the rest its end. `count` is how many were written.
public final class LogFolder {
  /// More than the first line of a file has.
  private static let lineMax = 128

  private let path: String
  private let bytesMax: Int
  private let fileSystem: any FileSystem
  /// Files by job; most jobs have none.
  private var sizes: [JobNumber: [JobLog.Stream: Int]] = [:]
  /// Jobs in the order in which their logs were kept; some may have none any more.
  private var order: Deque<JobNumber> = []
  /// Bytes of all files.
  public private(set) var bytes = 0
  /// Jobs whose files are to be removed, in this order; those that `unwantedJobs` lacks are not.
  private var unwanted: Deque<JobNumber> = []
  private var unwantedJobs: Set<JobNumber> = []
  /// Jobs whose files somebody is removing.
  private var leaving: Set<JobNumber> = []
  /// Logs of those, which can be kept when that is done.
  private var late: [Late] = []

  /// A log that is to be kept once the file in its place has been removed.
  public struct Late: Equatable {
    /// What is to be kept.
    public var log: JobLog
    /// Whose it is.
    public var job: JobNumber
    /// Which of the job's.
    public var stream: JobLog.Stream
  }
  /// How many names in the folder were passed over when it was opened, as they could neither be
  /// used nor removed, and why the first was.
  public private(set) var passedOver: (count: Int, first: StorageError)?

  /// Opens the folder, made if it is not there, and removes the files of jobs that are not held. A
  /// name that cannot be used stays where it is: no log is worth a start.
  ///
  /// - Parameters:
  ///   - path: the folder; its parent must be there.
  ///   - bytesMax: the most bytes of all files together.
  ///
  /// - Throws: `callFailed` or `syncFailed` when the folder itself cannot be made or read.
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
      do throws(StorageError) {
        if isHeld(job) {
          note(job, stream, try fileSystem.size("\(path)/\(name)"))
        } else {
          try fileSystem.remove("\(path)/\(name)")
        }
      } catch {
        passedOver = ((passedOver?.count ?? 0) + 1, passedOver?.first ?? error)
      }
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
    guard !leaving.contains(job) else {
      late.removeAll { $0.job == job && $0.stream == stream }
      return late.append(Late(log: log, job: job, stream: stream))
    }
    if unwantedJobs.remove(job) != nil { try removeFiles(of: job) }
    removeFile(job, stream)
    guard log.count > 0 else { return }
    let file = name(of: job, stream)
    let line = #"{"log":1,"count":\#(log.count),"head":\#(log.head.count)}"# + "\n"
    do throws(StorageError) {
      let open = try fileSystem.open(file, for: .creating)
      defer { fileSystem.close(open) }
      for part in [Array(line.utf8), log.head, log.tail] { try write(part, to: open) }
    } catch {
      // Whatever there is of it must not be read; if this fails, the next start finds it.
      try? fileSystem.remove(file)
      throw error
    }
    note(job, stream, line.utf8.count + log.head.count + log.tail.count)
    while bytes > bytesMax, let oldest = order.first, oldest != job { remove(oldest) }
  }

  /// At most `limit` bytes of a job's log from `offset` on, by the offsets of what was written; nil
  /// when none is kept, or when it cannot be read any more. Reads no more than that of the file.
  ///
  /// An offset in what is left out, or a piece that comes to it, is continued where the end begins.
  public func read(
    of job: JobNumber, _ stream: JobLog.Stream, from offset: Int, atMost limit: Int
  ) -> JobLog.Piece? {
    guard let size = sizes[job]?[stream] else { return nil }
    guard let file = try? fileSystem.open(name(of: job, stream), for: .reading) else { return nil }
    defer { fileSystem.close(file) }
    guard
      let start = bytes(of: file, at: 0, min(size, LogFolder.lineMax)),
      let shape = LogFolder.shape(start, size)
    else { return nil }
    var piece = JobLog.Piece(offset: min(max(offset, 0), shape.count), count: shape.count)
    var room = max(limit, 0)
    if piece.nextOffset < shape.head {
      let length = min(room, shape.head - piece.nextOffset)
      let place = shape.start + piece.nextOffset
      guard let read = bytes(of: file, at: place, length) else { return nil }
      piece.head = read
      room -= length
    }
    guard room > 0, piece.nextOffset >= shape.head else { return piece }
    let tailAt = shape.count - shape.tail
    piece.leftOut = max(0, tailAt - piece.nextOffset)
    let length = min(room, shape.count - piece.nextOffset)
    let place = shape.start + shape.head + (piece.nextOffset - tailAt)
    guard let read = bytes(of: file, at: place, length) else { return nil }
    piece.tail = read
    return piece
  }

  /// The whole log of a job; nil when none is kept, or when it cannot be read any more.
  public func log(of job: JobNumber, _ stream: JobLog.Stream) -> JobLog? {
    read(of: job, stream, from: 0, atMost: .max).map {
      JobLog(count: $0.count, head: $0.head, tail: $0.tail)
    }
  }

  /// Drops what is kept of a job. Its files are unwanted from now on, and still there.
  public func remove(_ job: JobNumber) {
    if !late.isEmpty { late.removeAll { $0.job == job } }
    guard let streams = sizes.removeValue(forKey: job) else { return }
    for size in streams.values { bytes -= size }
    tidyOrder()
    unwanted.append(job)
    unwantedJobs.insert(job)
  }

  // MARK: Files that are removed by others

  /// Whether there are files to remove, or an end of a removal to be told.
  public var hasUnwanted: Bool { !unwanted.isEmpty || !leaving.isEmpty }

  /// The files of some jobs whose logs were dropped, for somebody else to remove: a thousand would
  /// keep the loop for milliseconds. Names that are not there are among them.
  ///
  /// - Parameter countMax: how many jobs at most.
  public func takeUnwanted(atMost countMax: Int) -> [String] {
    precondition(leaving.isEmpty, "the end of the removal before was not told")
    var paths: [String] = []
    while leaving.count < countMax, let job = unwanted.popFirst() {
      guard unwantedJobs.remove(job) != nil else { continue }
      leaving.insert(job)
      for stream in JobLog.Stream.allCases { paths.append(name(of: job, stream)) }
    }
    return paths
  }

  /// The files that were taken last are removed, or can't be: answers the logs that waited for it.
  public func unwantedAreGone() -> [Late] {
    leaving.removeAll(keepingCapacity: true)
    defer { late = [] }
    return late
  }

  private func removeFiles(of job: JobNumber) throws(StorageError) {
    for stream in JobLog.Stream.allCases { try fileSystem.remove(name(of: job, stream)) }
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

  /// Just so many bytes of a file; nil if there are fewer.
  private func bytes(of file: OpenFile, at place: Int, _ count: Int) -> [UInt8]? {
    var content = [UInt8](repeating: 0, count: count)
    var filled = 0
    while filled < count {
      let read = content.withUnsafeMutableBytes { buffer in
        let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
        return (try? fileSystem.read(file, at: place + filled, into: rest)) ?? 0
      }
      guard read > 0 else { return nil }
      filled += read
    }
    return content
  }

  /// What the first line of a file of `size` bytes says: where the bytes begin, how many were
  /// written, and how many of the beginning and of the end there are.
  private static func shape(
    _ content: [UInt8], _ size: Int
  ) -> (start: Int, count: Int, head: Int, tail: Int)? {
    guard let end = content.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
    let values = content[..<end].withUnsafeBufferPointer { line in
      try? JSONReader.read(line) { (reader) throws(JSONError) in
        try RecordDecoder.integers(&reader)
      }
    }
    let held = size - (end + 1)
    guard
      let values, values["log"] == 1, let count = values["count"], let head = values["head"],
      (0...held).contains(head), count >= held
    else { return nil }
    return (end + 1, count, head, held - head)
  }

  // MARK: Books

  private func note(_ job: JobNumber, _ stream: JobLog.Stream, _ size: Int) {
    if sizes[job] == nil { order.append(job) }
    sizes[job, default: [:]][stream] = size
    bytes += size
  }

  private func removeFile(_ job: JobNumber, _ stream: JobLog.Stream) {
    guard let size = sizes[job]?[stream] else { return }
    try? fileSystem.remove(name(of: job, stream))
    bytes -= size
    sizes[job]?[stream] = nil
    guard sizes[job]?.isEmpty == true else { return }
    sizes[job] = nil
    tidyOrder()
  }

  private func tidyOrder() {
    while let first = order.first, sizes[first] == nil { order.removeFirst() }
    if order.count > 2 * sizes.count + 64 { order.removeAll { sizes[$0] == nil } }
  }
}
