import JobCore

/// When something happened to each of the newest jobs, to the nanosecond: what jobs themselves keep
/// is in milliseconds, of which a short job has none.
///
/// Each number has one place, which it shares with every other that is a multiple of the capacity
/// away. So a look-up is an index and a comparison, memory is bounded, and what is lost by it are
/// jobs with many younger ones: those took long, and milliseconds do for them.
struct InstantTable {
  private var numbers: [JobNumber]
  private var instants: [UInt64]
  private let mask: JobNumber

  /// A table with so many places: a power of two. A place takes 16 bytes.
  init(capacity: Int) {
    precondition(capacity > 0 && capacity & (capacity - 1) == 0, "\(capacity) is no power of two")
    // No job has the number 0.
    numbers = [JobNumber](repeating: 0, count: capacity)
    instants = [UInt64](repeating: 0, count: capacity)
    mask = JobNumber(capacity - 1)
  }

  /// The instant of a job, in nanoseconds; nil when none was set, or another job's took its place.
  subscript(number: JobNumber) -> UInt64? {
    @inline(__always)
    get {
      let place = Int(number & mask)
      return numbers[place] == number ? instants[place] : nil
    }
  }

  /// Keeps the instant of a job.
  @inline(__always)
  mutating func set(_ number: JobNumber, _ instant: Instant) {
    let place = Int(number & mask)
    numbers[place] = number
    instants[place] = instant.nanoseconds
  }
}
