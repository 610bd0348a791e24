/// Ids that tell the number of their job, so that it is found without an index.
///
/// An index of a million ids misses the cache when a job comes, when it is asked for and when it is
/// forgotten. The ids that the service makes itself need none: their last 48 bits are the job's
/// number, masked. What an id tells is a hint: whoever follows it compares the id of that job.
///
/// Who knows one of them and its number can tell those bits of the others, which leaves 26 and the
/// millisecond: an id is a name, not a secret.
///
/// The mask is another one in every process: two services that were started at one moment count the
/// same numbers, and must not make the same ids. So what a process did not number itself, as jobs
/// that it recovered, is indexed.
struct NumberedIDs: Sendable {
  private let mask: UInt64
  /// The first job whose id may tell its number.
  private let first: JobNumber

  /// Numbers jobs from `first` on.
  init(mask: UInt64, from first: JobNumber) {
    self.mask = mask & (NumberTable.numberLimit - 1)
    self.first = first
  }

  /// An id for the job with a number: 26 of its bits are random.
  func id(of number: JobNumber, at timestamp: Timestamp, random: UInt64) -> JobID {
    JobID(version7At: timestamp, random: (random, (random >> 12) << 48 | (number ^ mask)))
  }

  /// The number that an id tells, if it is one that a job may have which was numbered here.
  @inline(__always)
  func number(in id: JobID) -> JobNumber? {
    guard let number = id.last48Bits.map({ $0 ^ mask }), number >= first else { return nil }
    return number
  }
}
