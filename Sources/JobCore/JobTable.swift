/// Jobs by number, in pages of consecutive numbers.
///
/// Numbers only grow and old jobs go first, so a page is given back whole soon after its jobs are
/// forgotten; a lookup is two index operations, and iteration is by number, the same in every
/// process, which a dictionary's is not.
struct JobTable: Equatable, Sendable {
  private static let pageSize: JobNumber = 256

  private struct Page: Equatable {
    var jobs: ContiguousArray<Job?>
    /// How many there are, hidden ones included.
    var count = 0
    /// A bit for each that is hidden.
    var hidden = SIMD4<UInt64>()

    @inline(__always)
    func isHidden(_ slot: Int) -> Bool {
      hidden[slot >> 6] >> UInt64(slot & 63) & 1 != 0
    }

    /// Puts a job where none is.
    mutating func insert(_ job: consuming Job, at slot: Int) {
      let number = job.number
      guard case .none = jobs[slot] else {
        preconditionFailure("job \(number) is held already")
      }
      // Over nothing, which needs no end.
      jobs.withUnsafeMutableBufferPointer { $0.initializeElement(at: slot, to: job) }
      count += 1
    }

    /// A bit for each that is held.
    var held: SIMD4<UInt64> {
      if count == jobs.count { return ~hidden }
      var bits = SIMD4<UInt64>()
      jobs.withUnsafeBufferPointer { jobs in
        for slot in jobs.indices where jobs[slot] != nil {
          bits[slot >> 6] |= 1 << UInt64(slot & 63)
        }
      }
      return bits & ~hidden
    }
  }

  private var pages: ContiguousArray<Page?> = []
  /// The page number of `pages[0]`.
  private var firstPage: JobNumber = 0
  /// Pages at the front that hold nothing any more.
  private var emptyCount = 0
  /// How many jobs are held; without what is hidden.
  private(set) var count = 0
  /// How many jobs are still here that are not held any more.
  private(set) var hiddenCount = 0

  /// The job with `number`, or nil if it is not held. Inlined, so that whoever looks at one member
  /// does not pay for a copy of all.
  @inline(__always)
  subscript(number: JobNumber) -> Job? {
    guard let index = pageIndex(of: number) else { return nil }
    let slot = Int(number % JobTable.pageSize)
    if hiddenCount > 0, pages[index]?.isHidden(slot) ?? false { return nil }
    return pages[index]?.jobs[slot]
  }

  /// The brief of the job with `number`, without a copy of the job.
  func brief(of number: JobNumber) -> JobBrief? {
    guard let index = pageIndex(of: number), pages[index] != nil else { return nil }
    let slot = Int(number % JobTable.pageSize)
    if hiddenCount > 0, pages[index].unsafelyUnwrapped.isHidden(slot) { return nil }
    return pages[index].unsafelyUnwrapped.jobs.withUnsafeBufferPointer { jobs in
      guard let job = jobs.baseAddress.unsafelyUnwrapped[slot] else { return nil }
      return JobBrief(job)
    }
  }

  /// The id of the job with `number`, without a copy of the job.
  @inline(__always)
  func id(of number: JobNumber) -> JobID? {
    guard let index = pageIndex(of: number) else { return nil }
    let slot = Int(number % JobTable.pageSize)
    if hiddenCount > 0, pages[index]?.isHidden(slot) ?? false { return nil }
    return pages[index]?.jobs[slot]?.id
  }

  /// Adds a job whose number is not held. Numbers may come in any order, but a page far below the
  /// first one costs the pages between.
  @inline(__always)
  mutating func insert(_ job: consuming Job) {
    let number = job.number
    let page = number / JobTable.pageSize
    if pages.isEmpty { firstPage = page }
    if page < firstPage {
      // All at once: one by one would move everything for each page of the gap.
      pages.insert(contentsOf: repeatElement(nil, count: Int(firstPage - page)), at: 0)
      firstPage = page
    }
    while page >= firstPage + JobNumber(pages.count) { pages.append(nil) }
    let index = Int(page - firstPage)
    if index < emptyCount { emptyCount = index }
    if pages[index] == nil {
      pages[index] = Page(jobs: ContiguousArray(repeating: nil, count: Int(JobTable.pageSize)))
    }
    let slot = Int(number % JobTable.pageSize)
    pages[index]!.insert(job, at: slot)
    count += 1
  }

  /// Changes a held job in place.
  mutating func update<R>(_ number: JobNumber, _ change: (inout Job) -> R) -> R {
    guard let index = pageIndex(of: number), pages[index] != nil else {
      preconditionFailure("job \(number) is not held")
    }
    return change(&pages[index]!.jobs[Int(number % JobTable.pageSize)]!)
  }

  /// Takes out a job that is held.
  mutating func remove(_ number: JobNumber) -> Job? {
    guard let index = pageIndex(of: number), pages[index] != nil else { return nil }
    let slot = Int(number % JobTable.pageSize)
    guard let job = pages[index]!.jobs[slot] else { return nil }
    pages[index]!.jobs[slot] = nil
    pages[index]!.count -= 1
    count -= 1
    if pages[index]!.count == 0 { giveBack(index) }
    return job
  }

  // MARK: Hiding

  /// From now on the jobs with these numbers, those of them that are here, are not held, until
  /// `removeHidden` takes them out: bits are set, which takes no time, while taking a job out means
  /// to free what it holds. Quick where neighbours follow each other.
  mutating func hide(_ numbers: some Sequence<JobNumber>) {
    var index = -1
    var mask = SIMD4<UInt64>()
    for number in numbers {
      guard let page = pageIndex(of: number) else { continue }
      if page != index {
        if index >= 0 { hide(mask, ofPage: index) }
        (index, mask) = (page, SIMD4())
      }
      let slot = Int(number % JobTable.pageSize)
      mask[slot >> 6] |= 1 << UInt64(slot & 63)
    }
    if index >= 0 { hide(mask, ofPage: index) }
  }

  private mutating func hide(_ mask: SIMD4<UInt64>, ofPage index: Int) {
    guard pages[index] != nil else { return }
    let added = mask & pages[index]!.held
    pages[index]!.hidden |= added
    let addedCount = (0..<4).reduce(0) { $0 + added[$1].nonzeroBitCount }
    count -= addedCount
    hiddenCount += addedCount
  }

  /// Takes out a hidden job, if it is still here.
  mutating func removeHidden(_ number: JobNumber) -> Job? {
    guard let index = pageIndex(of: number), pages[index] != nil else { return nil }
    let slot = Int(number % JobTable.pageSize)
    guard pages[index]!.isHidden(slot) else { return nil }
    pages[index]!.hidden[slot >> 6] &= ~(1 << UInt64(slot & 63))
    count += 1
    hiddenCount -= 1
    return remove(number)
  }

  private mutating func giveBack(_ index: Int) {
    pages[index] = nil
    while emptyCount < pages.count, pages[emptyCount] == nil { emptyCount += 1 }
    // Not one after the other: all behind them move up.
    guard 4 * emptyCount > pages.count else { return }
    pages.removeFirst(emptyCount)
    firstPage += JobNumber(emptyCount)
    emptyCount = 0
  }

  private func pageIndex(of number: JobNumber) -> Int? {
    let page = number / JobTable.pageSize
    guard page >= firstPage, page - firstPage < JobNumber(pages.count) else { return nil }
    return Int(page - firstPage)
  }

  /// Calls `body` for each job in ascending order of number.
  func forEachAscending(_ body: (Job) -> Void) {
    for index in pages.indices {
      guard let page = pages[index], page.count > 0 else { continue }
      for slot in page.jobs.indices {
        if let job = page.jobs[slot], !page.isHidden(slot) { body(job) }
      }
    }
  }

  /// Calls `body` for each hidden job in ascending order of number.
  func forEachHidden(_ body: (Job) -> Void) {
    for case let page? in pages {
      for slot in page.jobs.indices where page.isHidden(slot) {
        if let job = page.jobs[slot] { body(job) }
      }
    }
  }

  /// Calls `body` for each job below `bound` in descending order, until it answers false.
  func descend(below bound: JobNumber, while body: (Job) -> Bool) {
    guard !pages.isEmpty, bound > firstPage * JobTable.pageSize else { return }
    let last = min(bound - 1, (firstPage + JobNumber(pages.count)) * JobTable.pageSize - 1)
    var index = Int(last / JobTable.pageSize - firstPage)
    var slot = Int(last % JobTable.pageSize)
    while index >= 0 {
      if let page = pages[index] {
        while slot >= 0 {
          if let job = page.jobs[slot], !page.isHidden(slot), !body(job) { return }
          slot -= 1
        }
      }
      slot = Int(JobTable.pageSize) - 1
      index -= 1
    }
  }

  /// Equal when the same jobs are held, wherever the pages begin.
  static func == (lhs: JobTable, rhs: JobTable) -> Bool {
    guard lhs.count == rhs.count else { return false }
    var isEqual = true
    lhs.forEachAscending { job in
      if isEqual, rhs[job.number] != job { isEqual = false }
    }
    return isEqual
  }
}
