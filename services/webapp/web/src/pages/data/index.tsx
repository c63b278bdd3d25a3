import { PageHead } from '../../ui/page'

export default function DataPage() {
  return (
    <>
      <PageHead title="Data" />
      <p>This page is being made.</p>
    </>
  )
}
