import JobCore

/// The path of a job's handle, or of something below it, written without a string between.
struct JobPath {
  private static let prefix: StaticString = "/v1/jobs/"

  let id: JobID
  /// What follows the id: empty, or a slash and ASCII that needs no escape.
  var suffix: StaticString = ""

  /// How many bytes it has.
  var byteCount: Int {
    JobPath.prefix.utf8CodeUnitCount + id.byteCount + suffix.utf8CodeUnitCount
  }

  /// Writes it to where `byteCount` bytes have room.
  func write(to target: UnsafeMutablePointer<UInt8>) {
    let idStart = target + JobPath.prefix.utf8CodeUnitCount
    target.initialize(from: JobPath.prefix.utf8Start, count: JobPath.prefix.utf8CodeUnitCount)
    id.write(to: idStart)
    (idStart + id.byteCount).initialize(from: suffix.utf8Start, count: suffix.utf8CodeUnitCount)
  }
}
